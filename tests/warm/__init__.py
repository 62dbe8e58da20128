"""A Python that starts in milliseconds with the frameworks imported, for tests that run programs often.

TensorFlow, TFX, and Beam take about ten CPU-seconds to import, and the tests start a hundred programs that need them. A
server (`server.py`) imports them once and forks a child for each start. `python()` returns an executable that takes the
interpreter's arguments and sends them to the server (`client.py`). A child is a process with separate environment,
directory, and streams; it has imported nothing of this project. Tests about the start itself (imports, duration,
bytecode) run `sys.executable`.
"""

import fcntl
import functools
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_VARIABLE = "WARM_PYTHON"  # inherited by the workers of pytest-xdist, so that they share one server
_HERE = Path(__file__).parent
_SECONDS = 300.0


def prepare() -> None:
    """Create the directory of this test run's server, which the first call of `python()` starts."""
    os.environ[_VARIABLE] = f"{os.getpid()}:{tempfile.mkdtemp(prefix='warm-python-')}"


def clean_up() -> None:
    """Remove the directory; the server ends with the process that called `prepare`."""
    owner, _, directory = os.environ.pop(_VARIABLE, "").partition(":")
    if owner == str(os.getpid()):
        shutil.rmtree(directory, ignore_errors=True)


def directory() -> Path:
    """Return the directory, which all workers of this test run share."""
    return Path(os.environ[_VARIABLE].partition(":")[2])


@functools.cache
def python() -> str:
    """Return the executable; the first call of a test run starts the server and waits for its imports."""
    owner, place = os.environ[_VARIABLE].partition(":")[0], directory()
    path, executable = place / "socket", place / "bin" / "python"
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            executable.parent.mkdir()
            client = shlex.join([sys.executable, "-I", "-S", str(_HERE / "client.py"), str(path)])
            executable.write_text(f'#!/bin/sh\nexec {client} "$@"\n', encoding="utf-8")
            executable.chmod(0o755)
            _start([str(_HERE / "server.py"), str(path), str(executable), owner], place)
    return str(executable)


def _start(command: list[str], directory: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "TF_CONFIG")}
    with (directory / "log").open("wb") as log:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            timeout=_SECONDS,
            check=False,
        )
    assert done.returncode == 0, (directory / "log").read_text(encoding="utf-8", errors="replace")
