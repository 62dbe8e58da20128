"""Start a real run of `local_runner.py` with small settings, and kill it at a moment; `kill_runs.py` uses it."""

import contextlib
import gc
import importlib
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.warm import server

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = {
    "model.units": 16,
    "model.embedding": 8,
    "model.dropout": 0.1,
    "training.batch_size": 16,
    "training.sequence_length": 50,
    "training.steps": 120,
    "training.eval_every": 20,
    "training.checkpoint_seconds": 1,
    "training.sample_chars": 0,
    "training.measured_chars": 0,
    "evaluation.threshold": 60.0,
}
_PACKAGES = ("components", "scripts", "tests")  # of the project, imported here
_POLL_SECONDS = 0.005
_SECONDS_TO_END = 10.0  # for the other processes of a killed run
_ENDED = re.compile(r"^\+ (\w+) +[\d.]+ s ", re.MULTILINE)  # a component's line on the terminal


@dataclass(frozen=True)
class Moment:
    """When to kill: some seconds after a number of components have ended."""

    components: int
    seconds: float

    def is_reached(self, ended: dict[str, float], seconds: float) -> bool:
        """Whether a run that has taken so many seconds is to be killed; `ended` as in `Run`."""
        begun = [0.0, *ended.values()]
        return len(begun) > self.components and seconds >= begun[self.components] + self.seconds


@dataclass(frozen=True)
class Run:
    """One start of the command.

    Attributes:
      code: its exit code; None if it was killed.
      seconds: duration.
      ended: the components that ended, and when: seconds after the start.
      left: its processes that did not end with it.
      output: file with what it printed.
    """

    code: int | None
    seconds: float
    ended: dict[str, float]
    left: list[str]
    output: Path


def import_frameworks() -> None:
    """Import what runs import, but nothing of the project, so that `run` can fork this process."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    places = list(sys.path)
    for name in server.FRAMEWORKS:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
    sys.path[:] = places
    del os.environ["TF_CPP_MIN_LOG_LEVEL"]
    gc.freeze()  # the children's collectors do not write to shared memory


def run(corpus: str, root: Path, moment: Moment | None = None, *, cold: bool = False) -> Run:
    """Run the command on a root, and kill its process group at the moment, unless it ends before.

    Summary, output and temporary files are next to the root.

    Args:
      cold: start a fresh interpreter; otherwise fork this process, see `import_frameworks`.
    """
    output = root.with_name(f"output-{len(list(root.parent.glob('output-*'))) + 1}.txt")
    start = time.monotonic()
    process = _start(corpus, root, output, cold)
    ended: dict[str, float] = {}
    status, seconds = None, 0.0
    try:
        while status is None and not (moment and moment.is_reached(ended, seconds)):
            time.sleep(_POLL_SECONDS)
            seconds = time.monotonic() - start
            found, code = os.waitpid(process, os.WNOHANG)
            status = code if found else None
            _note_ended(output, ended, seconds)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        if status is None:
            os.kill(process, signal.SIGKILL)  # a child that is not a leader yet
            _, status = os.waitpid(process, 0)
        _note_ended(output, ended, seconds)
    code = os.waitstatus_to_exitcode(status)
    return Run(None if code == -signal.SIGKILL else code, seconds, ended, _left(process, root), output)


def _note_ended(output: Path, ended: dict[str, float], seconds: float) -> None:
    for name in _ENDED.findall(output.read_text(errors="replace")):
        ended.setdefault(name, seconds)


def _start(corpus: str, root: Path, output: Path, cold: bool) -> int:
    """Start the command as the leader of a session and return its process id."""
    arguments = ["local_runner.py", "--corpus", corpus, "--root", str(root), "--summary", f"{root}.json"]
    arguments += [f"--set={key}={value}" for key, value in SETTINGS.items()]
    environment = {key: value for key, value in os.environ.items() if key not in ("TF_CONFIG", "PYTHONPATH")}
    environment["TMPDIR"] = str(root.with_name("tmp"))
    root.with_name("tmp").mkdir(exist_ok=True)
    with output.open("wb") as file, open(os.devnull) as nothing:
        if cold:
            command = [sys.executable, *arguments]
            streams: Any = {"stdin": nothing, "stdout": file, "stderr": file}
            return subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, **streams).pid
        child = os.fork()
        if not child:
            _become(arguments, environment, (nothing.fileno(), file.fileno(), file.fileno()))
        return child


def _become(arguments: list[str], environment: dict[str, str], streams: tuple[int, ...]) -> None:
    """Run the program in this forked process and end it."""
    code: Any = 1
    try:
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        for name in [name for name in sys.modules if name.partition(".")[0] in _PACKAGES]:
            del sys.modules[name]
        server.become({"umask": 0o022, "directory": str(ROOT), "environment": environment}, sys.executable)
        server.run(arguments)
    except SystemExit as error:
        code = error.code
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code if isinstance(code, int) else bool(code))


def _left(session: int, root: Path) -> list[str]:
    """Return the processes of a session, or with its root on their command line, that do not end soon."""
    end = time.monotonic() + _SECONDS_TO_END
    while left := [line for line in map(_described, Path("/proc").glob("[0-9]*")) if _belongs(line, session, root)]:
        if time.monotonic() > end:
            return [f"process {number} still runs: {command}" for number, _, command in left]
        time.sleep(_POLL_SECONDS)
    return []


def _described(process: Path) -> tuple[str, int, str]:
    """Return id, session and command line of a process; without a session if it has ended."""
    try:
        state, *numbers = (process / "stat").read_text().rpartition(")")[2].split()
        command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return process.name, 0, ""
    return process.name, 0 if state in "ZX" else int(numbers[2]), command


def _belongs(described: tuple[str, int, str], session: int, root: Path) -> bool:
    number, its_session, command = described
    return number != str(os.getpid()) and bool(its_session) and (its_session == session or f"{root}/" in command)
