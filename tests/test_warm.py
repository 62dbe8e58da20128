"""The warm Python behaves like a fresh interpreter for the programs that tests start."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import warm

pytestmark = pytest.mark.integration
REPORT = """
import json, os, sys
import tempfile
environment = [os.getcwd(), os.environ.get("GIVEN"), os.umask(0), tempfile.gettempdir()]
print(json.dumps([sys.argv, sys.path[:2], environment, sys.stdin.read()]))
"""
PACKAGES = "components", "kubeflow", "pipeline", "serving", "tests", "trainer", "transform"


def run(python: str, *arguments: str, **how: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([python, *arguments], capture_output=True, text=True, check=False, **how)


@pytest.mark.parametrize("kind", ["script", "module", "code", "folder"])
def test_arguments_paths_environment_and_input_equal_those_of_a_fresh_start(kind: str, tmp_path: Path) -> None:
    (tmp_path / "report.py").write_text(REPORT)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "__main__.py").write_text(f"assert not __package__\n{REPORT}")
    start = {"script": ["report.py"], "module": ["-m", "report"], "code": ["-c", REPORT], "folder": ["folder"]}[kind]
    environment = {**os.environ, "GIVEN": "an \udcff byte", "PYTHONPATH": "elsewhere", "TMPDIR": str(tmp_path)}
    reports = []
    for python in (sys.executable, warm.python()):
        done = run(python, *start, "one", "two words", cwd=tmp_path, env=environment, input="given", umask=0o27)
        assert done.returncode == 0, done.stderr
        reports.append(json.loads(done.stdout))
    assert reports[0] == reports[1]


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.exit(7)",
        "import sys; sys.exit('a reason')",
        "raise ValueError",
        "import os; os._exit(3)",
        "import os; os.kill(os.getpid(), 15)",
        "import os; os.kill(os.getpid(), 9)",
        "raise KeyboardInterrupt",
        "import atexit; atexit.register(print, 'at exit')",
    ],
)
def test_exit_code_and_output_equal_those_of_a_fresh_start(code: str) -> None:
    fresh, same = run(sys.executable, "-c", code), run(warm.python(), "-c", code)
    assert (same.returncode, same.stdout) == (fresh.returncode, fresh.stdout)


def test_frameworks_are_imported_and_nothing_of_this_project() -> None:
    code = f"import sys, json; print(json.dumps([name in sys.modules for name in ('tfx.components', *{PACKAGES})]))"
    assert json.loads(run(warm.python(), "-c", code).stdout) == [True, *[False] * len(PACKAGES)]


def test_child_program_is_warm_too() -> None:
    inner = "import sys; print('tensorflow' in sys.modules)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    assert run(warm.python(), "-c", code).stdout == "True\n"


def test_logging_is_not_configured() -> None:
    code = "import logging; logging.basicConfig(level=20, format='* %(message)s'); logging.info('message')"
    assert run(warm.python(), "-c", code).stderr == "* message\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 5), (signal.SIGTERM, -signal.SIGTERM)])
def test_signal_reaches_the_program(number: signal.Signals, code: int) -> None:
    # Many short sleeps: Python notices a signal that arrives just before a sleep only after it.
    loop = "print('ready', flush=True)\n  while True: time.sleep(0.05)"
    wait = f"import time, sys\ntry:\n  {loop}\nexcept KeyboardInterrupt: sys.exit(5)"
    with subprocess.Popen([warm.python(), "-c", wait], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(30) == code


def test_kill_ends_the_program(tmp_path: Path) -> None:
    wait = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    with subprocess.Popen([warm.python(), "-c", wait], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.kill()
        assert process.stdout.read() == "", "the pipe closes when the program ends"
    # The pipe closes a little before the process is gone.
    end = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert not Path(f"/proc/{child}").exists()
