"""The command line as a program: help, errors, exit codes, interrupts and closed pipes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from serving import __main__ as command_line
from serving import commands
from serving.client.errors import TimedOut

ROOT = Path(__file__).resolve().parents[2]


def start(*arguments: str, **how: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "serving", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **how,
    )


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        command_line.main(["--help"])
    output = capsys.readouterr().out
    assert all(f"\n    {name}" in output for name in commands.COMMANDS)


@pytest.mark.parametrize("name", ["generate", "score"])
def test_help_of_a_command_has_its_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        command_line.main([name, "--help"])
    assert "--checkpoint" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [[], ["dance"], ["--verbose"], ["score"], ["generate", "--chars", "many"]])
def test_invalid_arguments_are_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        command_line.main(argv)
    assert exit_.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_failure_of_the_server_is_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    class Command:
        __doc__ = "A command that fails."
        add_arguments = staticmethod(lambda parser: None)

        @staticmethod
        def run(options: Any) -> int:
            raise TimedOut("The server did not respond in time.")

    monkeypatch.setattr(commands, "find", lambda name: Command)
    assert command_line.main(["score"]) == 1
    assert capsys.readouterr().err == "failed: The server did not respond in time.\n"


@pytest.mark.integration
def test_ctrl_c_ends_quietly(script: Any) -> None:
    script.then(200, {"predictions": ["late"]}, delay=2.0)
    program = start("generate", "A", "--url", script.url, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    deadline = time.monotonic() + 60
    while not script.asked and time.monotonic() < deadline:
        time.sleep(0.02)
    program.send_signal(signal.SIGINT)
    out, error = program.communicate(timeout=30)
    assert (program.returncode, out) == (130, "")
    assert error.endswith("interrupted\n")
    assert "Traceback" not in error


@pytest.mark.integration
def test_closed_pipe_ends_quietly(script: Any) -> None:
    script.then(200, {"predictions": ["x" * 1_000_000]})
    program = start("generate", "A", "--url", script.url)
    assert program.stdout is not None
    assert program.stdout.read(10) == "x" * 10
    program.stdout.close()
    assert program.stderr is not None
    error = program.stderr.read()
    program.stderr.close()
    assert program.wait(timeout=30) == 141
    assert "Traceback" not in error
    assert "Exception" not in error


@pytest.mark.integration
def test_only_the_text_goes_to_standard_output(script: Any) -> None:
    script.then(200, {"predictions": ["é語\n"]})
    program = start("generate", "A", "--seed", "4", "--url", script.url)
    out, error = program.communicate(timeout=30)
    assert (program.returncode, out) == (0, "é語\n")
    assert "seed 4" in error
    assert json.dumps(script.asked[0][2])
