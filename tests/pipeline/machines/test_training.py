"""The training process: its environment, its messages, and its end with its parent."""

import os
import queue
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.machines.training import Training
from tests.pipeline.machines import doubles

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[3]


def started(program: str, log: Path | None = None) -> tuple[Training, "queue.SimpleQueue[dict[str, Any]]"]:
    received: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    return Training("CONFIG", received.put, str(log) if log else None, ("-S", "-c", program)), received


def test_process_gets_tf_config_and_arguments_and_its_messages_are_relayed(tmp_path: Path) -> None:
    program = """
import json, os, sys
print("not a message")
print("for the log", file=sys.stderr)
print(json.dumps({"kind": "progress", "text": os.environ["TF_CONFIG"] + str(json.loads(sys.stdin.readline()))}))
print(json.dumps({"kind": "trained"}), flush=True)
sys.stdin.read()
"""
    before = os.environ.get("TF_CONFIG")
    training, received = started(program, tmp_path / "log")
    with training:
        training.start({"x": [1]})
        assert received.get(timeout=doubles.SECONDS) == {"kind": "progress", "text": "CONFIG{'x': [1]}"}
        assert received.get(timeout=doubles.SECONDS) == {"kind": "trained"}
    assert training._process.returncode == 0
    assert (tmp_path / "log").read_text() == "for the log\n"
    assert os.environ.get("TF_CONFIG") == before


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import sys; sys.exit(3)", "exit code 3"),
        ("import os; os.kill(os.getpid(), 6)", "signal SIGABRT"),
        ("import os; os.kill(os.getpid(), 9)", r"killed (SIGKILL)"),
    ],
)
def test_process_that_ends_without_a_result_has_failed(program: str, words: str) -> None:
    training, received = started(program)
    with training:
        message = received.get(timeout=doubles.SECONDS)
    assert message["kind"] == "failed"
    assert words in message["words"]


def test_failed_block_kills_the_process() -> None:
    training, _ = started("import threading; threading.Event().wait()")
    with pytest.raises(ZeroDivisionError), training:
        raise ZeroDivisionError
    assert training._process.returncode == -signal.SIGKILL


def test_ctrl_c_on_the_terminal_does_not_reach_the_process() -> None:
    training, received = started(
        'import os; print(\'{"kind": "group", "id": %d}\' % os.getpgid(0), flush=True); input()'
    )
    with training:
        assert received.get(timeout=doubles.SECONDS)["id"] != os.getpgid(0)


def test_training_process_ends_with_a_killed_parent() -> None:
    # The real program, which is still importing, below a parent that is killed.
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, time; from pipeline.machines.training import Training\n"
            "t = Training('', print); print(t._process.pid, flush=True); time.sleep(600)",
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout
    with parent, parent.stdout:
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    assert select.select([child], [], [], doubles.SECONDS)[0] == [child]  # readable: the process has ended
    os.close(child)
