"""The worker's side of the protocol: JSON lines on standard input and output.

The first line is the job; the worker answers `{"ready": ...}`. Every later line is a request; the worker answers with
the result, or with `{"error": ...}` after a failure. Lines `{"progress": ...}` may precede an answer. The worker ends
at the end of its input.

Only the standard library is used, because the interpreter of a peer does not have the project's packages.
"""

import contextlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TextIO

Answer = Callable[[dict[str, Any]], dict[str, Any]]
_lines: list[TextIO] = []  # output of `serve` while it runs


def serve(start: Callable[[dict[str, Any]], tuple[dict[str, Any], Answer]]) -> None:
    """Answer until the input ends.

    Args:
      start: called with the job; returns the value of "ready" and the function that answers requests.
    """
    # Output of libraries must not mix with the lines.
    with os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1) as out:
        os.dup2(2, 1)
        _lines.append(out)
        answer: Answer | None = None
        for line in sys.stdin:
            message = json.loads(line)
            try:
                if answer is None:
                    ready, answer = start(message)
                    reply: dict[str, Any] = {"ready": ready}
                else:
                    reply = answer(message)
            except Exception as error:  # the parent handles a failure
                traceback.print_exc()
                reply = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(reply), file=out)


def progress(curve: list[dict[str, float]]) -> None:
    """Report the newest evaluation of a training to the parent; does nothing outside `serve`."""
    at = curve[-1]
    message = f"{at['loss']:.4f} nats after {at['cpu']:,.0f} CPU s, {at['wall']:,.0f} s"
    for out in _lines:
        print(json.dumps({"progress": message}), file=out)


class Stopwatch:
    """Wall seconds, and CPU seconds (user and system) of all threads of this process, since its creation."""

    def __init__(self, before: dict[str, float] | None = None) -> None:
        """Start; `before` is what an earlier one read, to be added."""
        known = before or {}
        self._wall = time.perf_counter() - known.get("wall", 0.0)
        self._cpu = time.process_time() - known.get("cpu", 0.0)

    def read(self) -> dict[str, float]:
        """Return the seconds so far."""
        return {"wall": time.perf_counter() - self._wall, "cpu": time.process_time() - self._cpu}

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Exclude the time inside the context."""
        before = self.read()
        try:
            yield
        finally:
            after = self.read()
            self._wall += after["wall"] - before["wall"]
            self._cpu += after["cpu"] - before["cpu"]
