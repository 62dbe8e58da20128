"""Log of requests on request: one JSON object in each line, written by a thread and rotated by size."""

import contextlib
import datetime
import json
import logging
import logging.handlers
import os
import queue
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from components.errors import UserError
from pipeline.config.serving import RequestLogSettings

_MAX_WAITING = 10_000  # lines
_MAX_WAITING_CHARACTERS = 50_000_000  # in the texts of those lines
_CLOSE_SECONDS = 5.0
_log = logging.getLogger(__name__)


@dataclass
class Entry:
    """One request; the server sets the attributes as it learns them.

    Attributes:
      version: number of the version that answered, if one was found.
      rows: number of rows that the outputs have.
      characters_in, characters_out: of all texts in the inputs and in the outputs.
      texts_in, texts_out: those texts, for a log with texts.

    Example: `test_a_line_describes_the_request` in tests/serving/embedded/test_request_log.py.
    """

    started: float = field(default_factory=time.time)
    model: str = ""
    version: int | None = None
    signature: str = ""
    rows: int = 0
    characters_in: int = 0
    characters_out: int = 0
    texts_in: list[str] = field(default_factory=list)
    texts_out: list[str] = field(default_factory=list)
    keep_texts: bool = False

    def receive(self, version: int, signature: str, inputs: Iterable[Any]) -> None:
        """Add what was asked for; `inputs` are arrays, of which those of texts count."""
        self.version, self.signature = version, signature
        self.characters_in, self.texts_in = self._texts(inputs)

    def respond(self, outputs: Iterable[Any]) -> None:
        """Add what was answered."""
        outputs = list(outputs)
        self.rows = max((len(array) for array in outputs if array.ndim), default=1)
        self.characters_out, self.texts_out = self._texts(outputs)

    def _texts(self, arrays: Iterable[Any]) -> tuple[int, list[str]]:
        texts = [text.decode("utf-8", "replace") for array in arrays if array.dtype == object for text in array.flat]
        return sum(map(len, texts)), texts if self.keep_texts else []

    def line(self, code: str, seconds: float) -> str:
        """Return the JSON text for a request that ended with this code."""
        when = datetime.datetime.fromtimestamp(self.started, datetime.timezone.utc)
        values: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "model": self.model,
            "version": self.version,
            "signature": self.signature,
            "status": code,
            "latency_ms": round(seconds * 1000, 3),
            "rows": self.rows,
            "characters_in": self.characters_in,
            "characters_out": self.characters_out,
        }
        if self.keep_texts:
            values |= {"texts_in": self.texts_in, "texts_out": self.texts_out}
        return json.dumps(values, ensure_ascii=False)


class RequestLog:
    """Writes entries in the background: no request waits for the disk or fails with it.

    Lines are lost, and counted in the server's log, while the disk is full or too slow.

    Example: `test_a_full_disk_loses_lines_and_nothing_else` in tests/serving/embedded/test_request_log.py.
    """

    def __init__(self, settings: RequestLogSettings) -> None:
        """Open the file and start the thread.

        Raises:
          UserError: the file cannot be written.
        """
        assert settings.file is not None
        self._keep_texts = settings.text
        self._file = _File(settings.file, settings.max_bytes, settings.files)
        self._waiting: queue.Queue[tuple[Entry, str, float] | None] = queue.Queue(_MAX_WAITING)
        self._characters, self._lost = 0, 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._write, name="request-log", daemon=True)
        self._thread.start()

    def entry(self) -> Entry:
        """Return the entry of a request that has just arrived."""
        return Entry(keep_texts=self._keep_texts)

    def write(self, entry: Entry, code: str, seconds: float) -> None:
        """Queue a line; returns at once.

        Args:
          code: canonical code of the response, for example "OK".
          seconds: that the request took.
        """
        size = entry.characters_in + entry.characters_out if self._keep_texts else 0
        with self._lock:
            if self._characters + size > _MAX_WAITING_CHARACTERS:
                self._lost += 1
                return
            self._characters += size
        try:
            self._waiting.put_nowait((entry, code, seconds))
        except queue.Full:
            with self._lock:
                self._lost += 1
                self._characters -= size

    def close(self) -> None:
        """Write what is queued, for a few seconds at most."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=_CLOSE_SECONDS)
        self._thread.join(_CLOSE_SECONDS)

    def _write(self) -> None:
        while (item := self._waiting.get()) is not None:
            entry, code, seconds = item
            written = self._file.append(entry.line(code, seconds))
            with self._lock:
                if self._keep_texts:
                    self._characters -= entry.characters_in + entry.characters_out
                lost, self._lost = self._lost + (not written), 0 if written else self._lost + 1
            if written:
                _report(lost)
        _report(self._lost)
        self._file.close()


def _report(lost: int) -> None:
    if lost:
        _log.warning("%d lines of the request log were lost", lost)


class _File(logging.handlers.RotatingFileHandler):
    """The file and its predecessors, `FILE.1` the newest."""

    def __init__(self, path: str, max_bytes: int, files: int) -> None:
        self._problem = ""
        try:
            super().__init__(path, maxBytes=max_bytes, backupCount=files, encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"The request log cannot be written: {error.strerror}. Give another file, or fix the permissions of "
                f"its directory. Received: {path}"
            ) from None

    def _open(self) -> Any:
        # Only for this user: the lines may hold texts.
        return open(
            self.baseFilename,
            "a",
            encoding="utf-8",
            errors="backslashreplace",
            opener=lambda path, flags: os.open(path, flags, 0o600),
        )

    def append(self, line: str) -> bool:
        """Write a line; returns whether that was possible, and logs the first failure."""
        end = None
        try:
            record = logging.makeLogRecord({"msg": line})
            if self.shouldRollover(record):
                self.doRollover()
            if self.stream is None:
                self.stream = self._open()
            end = self.stream.tell()
            self.stream.write(f"{line}\n")
            self.stream.flush()
        except (OSError, ValueError) as error:
            self._give_up_line(end)
            if str(error) != self._problem:
                self._problem = str(error)
                _log.error("The request log cannot be written, requests are still answered: %s", error)
            return False
        self._problem = ""
        return True

    def _give_up_line(self, end: int | None) -> None:
        """Remove the part of a line that was written, and what is buffered; the next line opens the file again."""
        with contextlib.suppress(OSError, ValueError):
            if self.stream is not None:
                self.stream.close()
        self.stream = None
        if end is not None:
            with contextlib.suppress(OSError):
                os.truncate(self.baseFilename, end)
