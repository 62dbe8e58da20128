"""Exceptions become exit codes, the same for every command line; empty options and odd characters are handled."""

import argparse
import doctest
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from components import command_line
from components.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def ends_with(error: BaseException) -> int:
    """Stand for a program that this exception ends."""
    raise error


def test_exit_code_of_the_program_is_returned(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.run(lambda: 3) == 3
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "code", "printed"),
    [
        (UserError("No such file. Received: x"), 2, "error: No such file. Received: x\n"),
        (TimeoutError("The server did not answer."), 1, "failed: The server did not answer.\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_expected_exception_is_one_paragraph_on_standard_error(
    error: BaseException, code: int, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.run(lambda: ends_with(error), failures=(TimeoutError,)) == code
    assert capsys.readouterr() == ("", printed)


def test_unexpected_exception_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        command_line.run(lambda: 1 // 0)


def test_unexpected_exception_is_explained_after_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    printed: list[str] = []
    code = command_line.run(lambda: 1 // 0, report=printed.append, explain=lambda error: (f"failed: {error}", 7))
    assert (code, printed) == (7, ["failed: integer division or modulo by zero"])
    assert capsys.readouterr().err.endswith("ZeroDivisionError: integer division or modulo by zero\n")


@pytest.mark.integration
def test_closed_pipe_ends_the_program_quietly() -> None:
    code = "import sys; from components import command_line; "
    code += "sys.exit(command_line.run(lambda: print('x' * 1_000_000) or 0))"
    program = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    program.stdout.read(10)
    program.stdout.close()
    assert program.stderr is not None
    assert program.stderr.read() == ""
    program.stderr.close()
    assert program.wait(timeout=30) == command_line.BROKEN_PIPE


def test_docstring_examples_run() -> None:
    assert doctest.testmod(command_line).failed == 0


@pytest.mark.parametrize("arguments", [["--url", ""], ["--url=", "x"], ["run", "--dir", " "], ["run", "--inner", ""]])
def test_empty_text_of_an_unset_shell_variable_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    parser = command_line.Parser(prog="program")
    parser.add_argument("--url")
    command = parser.add_subparsers().add_parser("run")
    command.add_argument("--dir")
    command.add_argument_group("group").add_argument("--inner")
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(arguments)
    assert caught.value.code == 2
    assert "it must not be empty (is a shell variable unset?). Received: '" in capsys.readouterr().err


def test_empty_text_is_allowed_where_it_has_a_meaning() -> None:
    parser = command_line.Parser()
    command = parser.add_subparsers().add_parser("run")
    command.add_argument("prompts", type=command_line.utf8, nargs="*")
    assert parser.parse_args(["run", ""]) == argparse.Namespace(prompts=[""])


def test_every_program_refuses_empty_texts() -> None:
    """A parser of argparse's own class would take an unset variable for an option that is not given."""
    programs = [ROOT / "local_runner.py", *(ROOT / name for name in ("serving", "kubeflow"))]
    files = [path for program in programs for path in (program.rglob("*.py") if program.is_dir() else [program])]
    # Programs that only other programs start.
    internal = ("serving/probe", "kubeflow/task", "kubeflow/report", "kubeflow/entrypoint.py")
    plain = [str(path.relative_to(ROOT)) for path in files if "= argparse.ArgumentParser(" in path.read_text()]
    assert [path for path in plain if not path.startswith(internal)] == []


@pytest.mark.parametrize(("encoding", "expected"), [("ascii", '{"a": "\\u00e9"}'), ("utf-8", '{"a": "é"}')])
def test_json_is_valid_in_every_encoding(encoding: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
    line = command_line.to_json({"a": "é"})
    assert line == expected
    assert json.loads(line) == {"a": "é"}


def test_control_characters_are_visible_and_text_is_unchanged() -> None:
    text = "Ça va?\n\tשלום 👩\u200d🚀\u00a0.\n"
    assert command_line.visible(text) == text
    assert command_line.visible("\x1b[2J\r\x9b\u202e\0") == r"\x1b[2J\r\x9b\u202e\x00"


def test_control_characters_of_names_are_escaped_in_errors(capsys: pytest.CaptureFixture[str]) -> None:
    command_line.run(lambda: ends_with(UserError("Received: \x1b[2J\u202e")))
    with pytest.raises(SystemExit):
        command_line.Parser(prog="program").parse_args(["\x1b[2J\u202e"])
    assert capsys.readouterr().err.count(r"\x1b[2J\u202e") == 2


def test_control_characters_are_escaped_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "utf-8"))
    value, line = {"a": "\u202e\x9b2J\x7f\n"}, r'{"a": "\u202e\u009b2J\u007f\n"}'
    assert command_line.to_json(value) == line
    assert json.loads(line) == value


@pytest.mark.integration
def test_characters_that_an_output_cannot_represent_are_escaped() -> None:
    code = "import sys; from components import startup; startup.begin('serving'); print('é'); sys.exit('ü')"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, "\\xe9\n", "\\xfc\n")
