"""The command line as a program."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import __main__ as command_line
from pipeline import commands

ROOT = Path(__file__).resolve().parents[2]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        command_line.main(["--help"])
    output = capsys.readouterr().out
    assert all(f"\n    {name}" in output for name in commands.COMMANDS)


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_help_of_a_command_has_its_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        command_line.main([name, "--help"])
    output = capsys.readouterr().out
    assert "--root DIR" in output
    assert ("--output FILE" if name == "notebook" else "--json") in output


@pytest.mark.integration
def test_program_runs_from_any_directory(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "pipeline"), "clean", "--keep", "3", "--root", "nowhere"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: No run is recorded there")
