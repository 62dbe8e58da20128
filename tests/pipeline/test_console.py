"""Output on a terminal and elsewhere, and redirection of the frameworks' output to the log."""

import doctest
import io
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from components.errors import UserError
from pipeline import console
from pipeline.console import ProgressHandler, Screen

ROOT = Path(__file__).resolve().parents[2]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_docstring_examples_run() -> None:
    assert doctest.testmod(console).failed == 0


def test_line_is_printed_without_markup_or_wrapping() -> None:
    output = io.StringIO()
    Screen(output).print("[bold]ROMEO:[/bold] :smile: " + "x" * 200, style="red")
    assert output.getvalue() == "[bold]ROMEO:[/bold] :smile: " + "x" * 200 + "\n"


@pytest.mark.parametrize(("output", "shown"), [(Terminal(), r"\x1b[2J\u202e"), (io.StringIO(), "\x1b[2J\u202e")])
def test_control_characters_are_escaped_on_a_terminal(output: io.StringIO, shown: str) -> None:
    screen = Screen(output)
    screen.print("\x1b[2J\u202e.")
    screen.progress("\x1b[2J\u202e.", lasting=True)
    screen.table([("corpus", "\x1b[2J\u202e.")])
    assert output.getvalue().count(f"{shown}.") == 3


def test_finished_component_has_a_line_with_name_time_and_outcome() -> None:
    output = io.StringIO()
    screen = Screen(output)
    screen.component_ended("Trainer", 83.26, "executed")
    screen.component_ended("Transform", 0.04, "cached")
    screen.component_ended("CorpusExampleGen", 1234.5, "failed")
    screen.component_ended("Evaluator", 5, "interrupted")
    assert output.getvalue().splitlines() == [
        "+ Trainer              83.3 s  executed",
        "+ Transform             0.0 s  cached",
        "x CorpusExampleGen   1234.5 s  failed",
        "x Evaluator             5.0 s  interrupted",
    ]


def test_outside_a_terminal_there_are_no_live_line_and_no_control_codes() -> None:
    output = io.StringIO()
    screen = Screen(output)
    with screen.component("Trainer"):
        screen.progress("step 10, loss 3.2", lasting=False)
        screen.progress("step 200, eval loss 1.9", lasting=True)
    screen.component_ended("Trainer", 1.0, "executed")
    assert output.getvalue().splitlines() == [
        "    step 200, eval loss 1.9",
        "+ Trainer               1.0 s  executed",
    ]


def test_live_line_shows_the_detail_and_is_erased_at_the_end() -> None:
    output = Terminal()
    screen = Screen(output)
    with screen.component("Trainer"):
        screen.progress("step 10, loss 3.2", lasting=False)
        screen.print("a line above the live one")
    shown = output.getvalue()
    assert re.search(r"> Trainer +\d+\.\d s +step 10, loss 3\.2", shown)
    assert shown.endswith("\x1b[2K")  # erases the line


def test_output_of_libraries_is_not_redirected_to_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    output = Terminal()
    with Screen(output).component("Trainer"):
        print("noise of a library")
        print("more noise", file=sys.stderr)
    assert "noise" not in output.getvalue()
    assert capsys.readouterr() == ("noise of a library\n", "more noise\n")


def test_failed_component_ends_its_live_line() -> None:
    screen = Screen(Terminal())
    with pytest.raises(ZeroDivisionError), screen.component("Trainer"):
        raise ZeroDivisionError
    with screen.component("Evaluator"):  # Rich refuses two live lines at the same time
        pass


def test_table_shows_every_value_in_full() -> None:
    output = io.StringIO()
    long = "/".join(["directory"] * 20)
    Screen(output).table([("corpus", "[red] 3"), ("version", long), ("why not", "too hard")])
    lines = output.getvalue().splitlines()
    assert re.fullmatch(r"corpus +\[red\] 3 *", lines[0])
    assert re.fullmatch(r"why not +too hard *", lines[-1])
    assert "".join(line.split()[-1] for line in lines[1:-1]) == long
    assert all(len(line) <= 80 for line in lines)


def test_progress_records_are_permanent_from_level_info() -> None:
    output = io.StringIO()
    screen = Screen(output)
    logger = logging.Logger("trainer", logging.DEBUG)
    logger.addHandler(ProgressHandler(screen))
    with screen.component("Trainer"):
        logger.debug("step %d", 10)
        logger.info("eval loss %.2f", 1.9)
    assert output.getvalue() == "    eval loss 1.90\n"


REDIRECT = """
import ctypes, os, subprocess, sys
from pipeline.console import duplicate_stdout, redirect_output
print("before")
screen = duplicate_stdout()
if len(sys.argv) > 1:
    redirect_output(sys.argv[1])
print("python out")
print("python err", file=sys.stderr)
sys.stdout.flush()
os.write(1, b"descriptor out\\n")
os.write(2, b"descriptor err\\n")
libc = ctypes.CDLL(None)
libc.puts(b"libc out")
libc.fflush(None)
subprocess.run(["/bin/sh", "-c", "echo child out; echo child err >&2"], check=True)
print("ROMEO: \\u00e9 \\udcff", file=screen)
"""
NOISE = [f"{who} {stream}" for who in ("python", "descriptor", "child") for stream in ("out", "err")] + ["libc out"]


def redirected(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", REDIRECT, *arguments],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )


def test_log_that_cannot_be_written_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"Is a directory\. .*--verbose\. Received: {tmp_path}"):
        console.redirect_output(str(tmp_path))


@pytest.mark.integration
def test_redirected_output_goes_to_the_log_and_the_screen_stays(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("of an earlier run\n")
    done = redirected(str(log))
    assert done.stdout == "before\nROMEO: é \\udcff\n"
    assert done.stderr == ""
    lines = log.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "of an earlier run"
    assert sorted(lines[1:]) == sorted(NOISE)


@pytest.mark.integration
def test_without_a_log_all_output_stays_on_the_terminal() -> None:
    done = redirected()
    assert sorted(done.stdout.splitlines()) == sorted(
        ["before", "ROMEO: é \\udcff", *(line for line in NOISE if line.endswith("out"))]
    )
    assert sorted(done.stderr.splitlines()) == sorted(line for line in NOISE if line.endswith("err"))
