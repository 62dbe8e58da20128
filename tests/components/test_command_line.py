"""Exceptions become exit codes, the same for every command line."""

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
