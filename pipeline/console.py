"""Terminal output of a run: a live line, a permanent line for each finished component, a table at the end."""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from components import command_line
from components.errors import UserError

_NAME_WIDTH = 18


class Screen:
    """Prints to the terminal or file that was standard output when the program started.

    >>> Screen(sys.stdout).component_ended("Trainer", 83.26, "executed")
    + Trainer              83.3 s  executed
    """

    def __init__(self, output: TextIO) -> None:
        """Print to this stream."""
        self.console = Console(file=output, highlight=False, soft_wrap=True)
        self._live: Live | None = None
        self._detail = ""

    def print(self, text: str, style: str = "") -> None:
        """Print a line, above the live line if there is one."""
        self.console.print(self._text(text, style))

    @contextmanager
    def component(self, name: str) -> Iterator[None]:
        """Show a live line with the elapsed time while a component runs."""
        start = time.monotonic()
        self._detail = ""

        def line() -> Text:
            text = f"> {name:<{_NAME_WIDTH}}{time.monotonic() - start:7.1f} s  {self._detail}"
            return Text(command_line.visible(text), style="cyan", overflow="ellipsis", no_wrap=True)

        # Otherwise Rich redirects the output of the frameworks, which belongs in the log, to the screen.
        self._live = Live(
            console=self.console,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            get_renderable=line,
        )
        with self._live:
            try:
                yield
            finally:
                self._live = None

    def component_ended(self, name: str, seconds: float, outcome: str) -> None:
        """Print the permanent line of a finished component."""
        mark, style = ("+", "green") if outcome in ("executed", "cached") else ("x", "red")
        line = Text(f"{mark} ", style=style)
        line.append(f"{name:<{_NAME_WIDTH}}", style="")
        line.append(f"{seconds:7.1f} s  ")
        line.append(outcome, style="dim" if outcome == "cached" else "")
        self.console.print(line)

    def progress(self, text: str, lasting: bool) -> None:
        """Show a detail of the running component; with `lasting` it is also printed permanently."""
        if lasting:
            self.console.print(self._text(f"    {text}", "dim"))
        self._detail = text

    def interrupted(self) -> None:
        """Report that the user interrupted the run, and restore the terminal."""
        if self._live:
            self._live.stop()
        self.print("interrupted; finished work is kept, and the same command resumes from there")

    def table(self, rows: list[tuple[str, str]]) -> None:
        """Print names and values as two columns."""
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in rows:
            table.add_row(name, self._text(value))
        self.console.print(table, soft_wrap=False)

    def _text(self, text: str, style: str = "") -> Text:
        """Text as it is printed: a terminal would obey control characters in it."""
        return Text(command_line.visible(text) if self.console.is_terminal else text, style=style)


class ProgressHandler(logging.Handler):
    """Shows the trainer's progress records on a screen: INFO permanently, DEBUG in the live line.

    Example: tests/pipeline/test_console.py.
    """

    def __init__(self, screen: Screen) -> None:
        """Show the records on this screen."""
        super().__init__(logging.DEBUG)
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        self._screen.progress(record.getMessage(), lasting=record.levelno >= logging.INFO)


def duplicate_stdout() -> TextIO:
    """Return a stream to the current standard output, which a later redirection does not change."""
    sys.stdout.flush()
    return os.fdopen(os.dup(1), "w", encoding=sys.stdout.encoding, errors="backslashreplace", buffering=1)


def redirect_output(log: str) -> None:
    """Append all further output of this process, that of C++ libraries included, to a file.

    Raises:
      UserError: the file cannot be written; nothing is redirected.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise UserError(
            f"The log cannot be written: {error.strerror}. Fix the permissions of its directory, name another one with "
            f"--root, or print the log with --verbose. Received: {log}"
        ) from error
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
