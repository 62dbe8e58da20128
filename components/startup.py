"""The first thing that every program does: hear Ctrl-C while it imports its packages, and look whether they are there.

A Python without the packages, or too old for them, gets a line that says how to start the program, so this file keeps
to the syntax of Python 3.8 and the standard library.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType

INTERRUPTED = 130
# What a run of the pipeline cannot do without.
PIPELINE = ("tensorflow", "tfx", "apache_beam", "tensorflow_transform", "pydantic", "rich", "requests", "platformdirs")
_OURS = ("components", "kubeflow", "pipeline", "serving", "trainer", "transform")
_PYTHON = (3, 10)  # the oldest, as in pyproject.toml
_INSTALL = "python3 -m pip install -qq --upgrade --target {tools} uv && {tools}/bin/uv run {project}python"
_heard: list[signal.Signals] = []  # what `importing` and `hand_over` handle; nothing unless `begin` was called


def begin(program: str, *packages: str, also: Sequence[signal.Signals] = ()) -> None:
    """End at once on Ctrl-C until `hand_over`, and end if packages are missing.

    Args:
      program: as in `shell_command.of`.
      packages: that it cannot do without. Others are missed when they are imported.
      also: signals that it treats like Ctrl-C.
    """
    _heard[:] = [number for number in (signal.SIGINT, *also) if signal.getsignal(number) != signal.SIG_IGN]
    for number in _heard:
        signal.signal(number, _end(_say))
    if sys.version_info < _PYTHON:
        sys.exit(f"This is Python {_dotted(sys.version_info)}, and {_dotted(_PYTHON)} is needed. {_remedy(program)}")
    if missing := [name for name in packages if not _is_there(name)]:
        sys.exit(_missing(missing, program))

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        name = (getattr(error, "name", None) or "").partition(".")[0]
        if issubclass(kind, ModuleNotFoundError) and name and name not in _OURS and not _is_there(name):
            print(_missing([name], program), file=sys.stderr)
        else:
            sys.__excepthook__(kind, error, trace)

    sys.excepthook = tell


def hand_over() -> None:
    """From now on these signals raise KeyboardInterrupt, which the program knows how to handle."""
    for number in _heard:
        signal.signal(number, signal.default_int_handler)


@contextlib.contextmanager
def importing(say: Callable[[], None] | None = None) -> Iterator[None]:
    """End at once again while frameworks are imported: their C++ may swallow a KeyboardInterrupt or make it an error.

    Args:
      say: tells the user; by default "interrupted" on standard error.
    """
    before = {number: signal.signal(number, _end(say or _say)) for number in _heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(say: Callable[[], None]) -> Callable[..., None]:
    def end(*_: object) -> None:
        try:
            say()
        finally:
            os._exit(INTERRUPTED)  # there is nothing to clean up yet, and threads of a framework would delay the end

    return end


def _say() -> None:
    with contextlib.suppress(OSError):
        os.write(2, b"interrupted\n")  # not print, which this may have interrupted


def _is_there(package: str) -> bool:
    from importlib import util

    try:
        return util.find_spec(package) is not None
    except ValueError:  # imported, but not from a file
        return True


def _missing(packages: Sequence[str], program: str) -> str:
    return f"This Python lacks packages ({', '.join(packages)}). {_remedy(program)}"


def _remedy(program: str) -> str:
    """How to start the program with all that was given to it, in the project's environment."""
    import shlex

    from components import shell_command

    root = shell_command.ROOT
    environment = os.path.join(root, ".venv")
    own = os.path.join(environment, "bin", "python")
    if os.path.exists(own) and os.path.realpath(sys.prefix) != os.path.realpath(environment):
        python = shlex.quote(shell_command.python(own))
    else:
        # The README's words; uv finds the project by the working directory.
        tools = shlex.quote(shell_command.shown(os.path.join(root, ".tools")))
        project = "" if shell_command.in_root() else f"--project {shlex.quote(root)} "
        python = _INSTALL.format(tools=tools, project=project)
    return f"Start it with: {python} {' '.join(map(shlex.quote, [*shell_command.start(program), *sys.argv[1:]]))}"


def _dotted(version: Sequence[object]) -> str:
    return ".".join(map(str, version[:2]))
