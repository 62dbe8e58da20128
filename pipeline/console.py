"""What a person sees while the pipeline runs: a live line, a lasting line for each component, a table at the end."""

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

_NAME_WIDTH = 18


class Screen:
    """Prints to the terminal (or file) that standard output was when the program began."""

    def __init__(self, output: TextIO) -> None:
        """Take the stream to print to."""
        self.console = Console(file=output, highlight=False, soft_wrap=True)
        self._live: Live | None = None
        self._running: _Running | None = None

    def say(self, text: str, style: str = "") -> None:
        """Print a line, above the live line if there is one."""
        self.console.print(Text(text, style=style))

    @contextmanager
    def component(self, name: str) -> Iterator[None]:
        """Show a live line with the time while a component runs."""
        self._running = _Running(name)
        # Rich would otherwise bring to the screen what the frameworks print, which belongs in the log.
        self._live = Live(
            self._running,
            console=self.console,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with self._live:
            try:
                yield
            finally:
                self._running = self._live = None

    def component_ended(self, name: str, seconds: float, outcome: str) -> None:
        """Print a component's lasting line."""
        mark, style = ("+", "green") if outcome in ("executed", "cached") else ("x", "red")
        line = Text(f"{mark} ", style=style)
        line.append(f"{name:<{_NAME_WIDTH}}", style="")
        line.append(f"{seconds:7.1f} s  ")
        line.append(outcome, style="dim" if outcome == "cached" else "")
        self.console.print(line)

    def progress(self, text: str, lasting: bool) -> None:
        """Show a detail of the running component; a lasting one stays on the screen."""
        if lasting:
            self.console.print(Text(f"    {text}", style="dim"))
        if self._running:
            self._running.detail = text

    def interrupted(self) -> None:
        """Say that the user ended the run, and leave the terminal as it was."""
        if self._live:
            self._live.stop()
        self.say("interrupted; what is finished is kept, the same command resumes from there")

    def table(self, rows: list[tuple[str, str]]) -> None:
        """Print names and values."""
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in rows:
            table.add_row(name, Text(value))
        self.console.print(table, soft_wrap=False)


class _Running:
    def __init__(self, name: str) -> None:
        self.name, self.detail, self._began = name, "", time.monotonic()

    def __rich__(self) -> Text:
        seconds = time.monotonic() - self._began
        return Text(
            f"> {self.name:<{_NAME_WIDTH}}{seconds:7.1f} s  {self.detail}",
            style="cyan",
            overflow="ellipsis",
            no_wrap=True,
        )


class ProgressHandler(logging.Handler):
    """Shows the trainer's progress records on a screen: INFO stays, DEBUG passes."""

    def __init__(self, screen: Screen) -> None:
        """Take the screen to show them on."""
        super().__init__(logging.DEBUG)
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        self._screen.progress(record.getMessage(), lasting=record.levelno >= logging.INFO)


def kept_output() -> TextIO:
    """Standard output as it is now, whatever is redirected later."""
    sys.stdout.flush()
    return os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace", buffering=1)


def redirect(log: str) -> None:
    """Send everything that libraries print from now on, from C++ too, to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
