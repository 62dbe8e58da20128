"""A task ends at its time-out, whatever it is doing."""

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

from kubeflow.task import deadline

ROOT = Path(__file__).resolve().parents[3]


def test_docstring_examples_are_true() -> None:
    assert doctest.testmod(deadline).failed == 0


@pytest.mark.integration
def test_hanging_process_ends_with_a_message_and_where_it_hung() -> None:
    program = (
        "from kubeflow.task import deadline\n"
        "import subprocess, threading\n"
        # As a worker of Beam: in a shell, with the task's own output.
        "subprocess.Popen('sleep 60; true', shell=True)\n"
        "def hang(): threading.Event().wait()\n"
        "deadline.start(0.01)\n"
        "hang()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=30
    )
    assert ended.returncode == 1, "a code from 128 would let the training operator restart the pod"
    assert "in hang" in ended.stderr
    assert "failed: the task has used up its time-out of 0.01 s" in ended.stderr
