"""The worker's side of the conversation: JSON lines on standard input and output.

The first line is the job; `{"ready": ...}` answers it. Every later line is a request, answered by what the contender
returns for it. A failure is answered by `{"error": ...}`; before an answer may come any number of lines
`{"progress": ...}` for people. The end of the input ends the worker.

Nothing here needs more than the standard library, for a peer's interpreter has not what the project needs.
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
_lines: list[TextIO] = []  # where `serve` writes, while it does


def serve(start: Callable[[dict[str, Any]], tuple[dict[str, Any], Answer]]) -> None:
    """Answer until the input ends.

    Args:
      start: gets the job, returns what "ready" tells and the function that answers requests.
    """
    # What libraries print must not come between the lines.
    with os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1) as out:
        os.dup2(2, 1)
        _lines.append(out)
        answer: Answer | None = None
        for line in sys.stdin:
            message = json.loads(line)
            try:
                if answer is None:
                    told, answer = start(message)
                    reply: dict[str, Any] = {"ready": told}
                else:
                    reply = answer(message)
            except Exception as error:  # the parent decides what a failed contender means
                traceback.print_exc()
                reply = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(reply), file=out)


def progress(curve: list[dict[str, float]]) -> None:
    """Tell people of the newest evaluation of a training; outside `serve` nobody listens."""
    at = curve[-1]
    told = f"{at['loss']:.4f} nats after {at['cpu']:,.0f} CPU s, {at['wall']:,.0f} s"
    for out in _lines:
        print(json.dumps({"progress": told}), file=out)


class Stopwatch:
    """Wall seconds, and CPU seconds (user and system) of all threads of this process, from its making on."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """So far."""
        return {"wall": time.perf_counter() - self._wall, "cpu": time.process_time() - self._cpu}

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """What is done inside does not count."""
        before = self.read()
        try:
            yield
        finally:
            after = self.read()
            self._wall += after["wall"] - before["wall"]
            self._cpu += after["cpu"] - before["cpu"]
