"""The first step of every program: handle Ctrl-C during the imports, set up the output, check for missing packages.

A Python without the packages, or too old for them, prints a line with the right command. Therefore this file uses only
the syntax of Python 3.8 and the standard library.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType

INTERRUPTED = 130
# Packages that a run of the pipeline needs.
PIPELINE = ("tensorflow", "tfx", "apache_beam", "tensorflow_transform", "pydantic", "rich", "requests", "platformdirs")
_OURS = ("components", "kubeflow", "pipeline", "serving", "trainer", "transform")
_PYTHON = (3, 10)  # oldest version, as in pyproject.toml
_INSTALL = "python3 -m pip install -qq --upgrade --target {tools} uv && {tools}/bin/uv run {project}python"
_handled: list[signal.Signals] = []  # signals that `importing` and `hand_over` handle; set by `begin`


def begin(program: str, *packages: str, also: Sequence[signal.Signals] = ()) -> None:
    """Exit at once on Ctrl-C until `hand_over` is called, and exit if packages are missing; set up the output.

    Args:
      program: as in `shell_command.of`.
      packages: packages to check now. Other missing ones are reported when their import fails.
      also: further signals that end the program like Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A character that the terminal or the file cannot represent is escaped: no error after the work is done.
            stream.reconfigure(errors="backslashreplace")
    _handled[:] = not_ignored(signal.SIGINT, *also)
    for number in _handled:
        signal.signal(number, _exit_handler(INTERRUPTED, _report))
    if sys.version_info < _PYTHON:
        sys.exit(f"This is Python {_dotted(sys.version_info)}, and {_dotted(_PYTHON)} is needed. {_remedy(program)}")
    if missing := [name for name in packages if not _is_installed(name)]:
        sys.exit(_missing(missing, program))

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        name = (getattr(error, "name", None) or "").partition(".")[0]
        if issubclass(kind, ModuleNotFoundError) and name and name not in _OURS and not _is_installed(name):
            print(_missing([name], program), file=sys.stderr)
        else:
            sys.__excepthook__(kind, error, trace)

    sys.excepthook = report


def hand_over() -> None:
    """Let these signals raise KeyboardInterrupt from now on: the program can handle it."""
    for number in _handled:
        signal.signal(number, signal.default_int_handler)


def exit_on(*signals: signal.Signals) -> None:
    """From now on these signals end the program at once, as done (code 0): a server that has nothing to finish.

    A handler that raises would depend on what it interrupts: an import in C++ can swallow an exception.
    """
    for number in signals:
        signal.signal(number, _exit_handler(0))


def importing(report: Callable[[], None] | None = None) -> contextlib.AbstractContextManager[None]:
    """Exit at once on Ctrl-C while frameworks are imported: their C++ can ignore a KeyboardInterrupt or wrap it.

    Args:
      report: called before the exit; by default it prints "interrupted" on standard error.
    """
    return handling(_handled, _exit_handler(INTERRUPTED, report or _report))


def not_ignored(*signals: signal.Signals) -> list[signal.Signals]:
    """Return those of the signals that this process does not ignore; `nohup`, for example, ignores SIGHUP."""
    return [number for number in signals if signal.getsignal(number) != signal.SIG_IGN]


@contextlib.contextmanager
def handling(signals: Sequence[signal.Signals], handler: Callable[..., None]) -> Iterator[None]:
    """Handle the signals inside the block; the previous handlers are set again after it."""
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _exit_handler(code: int, report: Callable[[], None] = lambda: None) -> Callable[..., None]:
    def handle(*_: object) -> None:
        try:
            report()
        finally:
            os._exit(code)  # there is nothing to clean up yet, and threads of a framework would delay the exit

    return handle


def _report() -> None:
    with contextlib.suppress(OSError):
        os.write(2, b"interrupted\n")  # not print: the signal may have interrupted it


def _is_installed(package: str) -> bool:
    from importlib import util

    try:
        return util.find_spec(package) is not None
    except ValueError:  # a module without a spec is imported already
        return True


def _missing(packages: Sequence[str], program: str) -> str:
    return f"This Python lacks packages ({', '.join(packages)}). {_remedy(program)}"


def _remedy(program: str) -> str:
    """Return a sentence with the command that starts the program, with the same arguments, in the right environment."""
    import shlex

    from components import shell_command

    root = shell_command.ROOT
    environment = os.path.join(root, ".venv")
    own = os.path.join(environment, "bin", "python")
    if os.path.exists(own) and os.path.realpath(sys.prefix) != os.path.realpath(environment):
        python = shlex.quote(shell_command.python(own))
    else:
        # The command in the README; uv finds the project from the working directory.
        tools = shlex.quote(shell_command.display_path(os.path.join(root, ".tools")))
        project = "" if shell_command.in_root() else f"--project {shlex.quote(root)} "
        python = _INSTALL.format(tools=tools, project=project)
    arguments = [*shell_command.interpreter_arguments(program), *sys.argv[1:]]
    return f"Start it with: {python} {' '.join(map(shlex.quote, arguments))}"


def _dotted(version: Sequence[object]) -> str:
    return ".".join(map(str, version[:2]))
