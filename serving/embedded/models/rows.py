"""Requests of generation, and their rows: what a row needs for its next call of the graph, and what it returned."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.embedded.codec.signature import Tensors

_PROMPT_CHARS = 256  # of a prompt, read per call
_PER_CALL = {"prompt", "state", "num_chars"}  # inputs that change from call to call

# `text`, (rows,) as bytes; `state`, (rows, state_size); other outputs of the signature, (rows,)
Outputs = dict[str, NDArray[Any]]


class Request:
    """A request whose rows may be in different calls of the graph.

    Attributes:
      future: gets the outputs when all rows are finished.
      started: number of rows that joined the batch.

    Example: `test_a_row_reads_its_prompt_in_parts` in tests/serving/embedded/models/test_rows.py.
    """

    def __init__(self, inputs: Tensors, state_size: int) -> None:
        """Take the inputs of `generate` or `sample`, or with "state" those of the signatures that continue a text."""
        self.future: Future[Outputs] = Future()
        self.rows = inputs["prompt"].size
        self.inputs = inputs
        self.controls = [(name, array.dtype) for name, array in inputs.items() if name not in _PER_CALL]
        self.started = 0
        states = np.zeros((self.rows, state_size), np.float32)
        if "state" in inputs:
            states[:] = inputs["state"]
        self.outputs: Outputs = {"text": np.full(self.rows, b"", object), "state": states}
        if "stop" in inputs:
            self.outputs["stopped"] = np.zeros(self.rows, bool)
        self._finished = 0
        self._lock = threading.Lock()  # rows may finish in two calls at the same time

    @property
    def waiting(self) -> int:
        """Rows that have not joined the batch yet."""
        return 0 if self.future.done() else self.rows - self.started

    def start_row(self) -> "Row":
        """Return the next row that joins the batch."""
        self.started += 1
        return Row(self, self.started - 1)

    def finish_row(self) -> None:
        """Count a finished row; `resolve` takes effect after the last one."""
        with self._lock:
            self._finished += 1

    def resolve(self) -> None:
        """Resolve the future with the outputs if all rows are finished, unless it is cancelled or failed."""
        with self._lock:
            finished = self._finished == self.rows
            if finished and not self.future.done() and self.future.set_running_or_notify_cancel():
                self.future.set_result(self.outputs)

    def fail(self, error: Exception) -> None:
        """Fail the request, unless it is cancelled or failed already."""
        with self._lock:
            if not self.future.done() and self.future.set_running_or_notify_cancel():
                self.future.set_exception(error)


class Row:
    """One text while it is generated.

    Attributes:
      prompt_part: bytes of the prompt that the next call reads.
      state: (state_size,), after the last call.
      chars_left: characters to generate.

    Example: `test_a_row_reads_its_prompt_in_parts` in tests/serving/embedded/models/test_rows.py.
    """

    def __init__(self, request: Request, index: int) -> None:
        """Take row `index` of a request."""
        self.request, self._index = request, index
        self._parts = _prompt_parts(request.inputs["prompt"][index])
        self.prompt_part = next(self._parts)
        self._next_part = next(self._parts, None)
        self.state: NDArray[np.float32] = request.outputs["state"][index]
        self.chars_left = int(request.inputs["num_chars"][index])
        self._chunks: list[bytes] = []

    @property
    def reads(self) -> bool:
        """Whether more of the prompt remains after the next call, so that it must not generate yet."""
        return self._next_part is not None

    @property
    def is_new(self) -> bool:
        """Whether the row has been in no call yet."""
        return not self._chunks

    @property
    def gone(self) -> bool:
        """Whether nothing waits for this row any more: its request is cancelled or failed."""
        return self.request.future.done()

    def value(self, name: str) -> Any:
        """Return the row's value of an input."""
        return self.request.inputs[name][self._index]

    def advance(self, generated: int, outputs: dict[str, Any]) -> bool:
        """Store what a call returned for this row; return whether the row is unfinished.

        Args:
          generated: characters that were asked for.
          outputs: the row's values by name.
        """
        self._chunks.append(outputs["text"])
        self.state = outputs["state"]
        self.chars_left = 0 if outputs.get("stopped") else self.chars_left - generated
        self.prompt_part, self._next_part = self._next_part or b"", next(self._parts, None)
        if self.chars_left or self.prompt_part or self.reads:
            return True
        for name, value in (outputs | {"text": b"".join(self._chunks)}).items():
            self.request.outputs[name][self._index] = value
        self.request.finish_row()
        return False


def batch(rows: list[Row], counts: list[int]) -> Tensors:
    """Return the inputs of one call that generates `counts` characters in each row."""
    controls = {name: np.array([row.value(name) for row in rows], kind) for name, kind in rows[0].request.controls}
    return controls | {
        "prompt": np.array([row.prompt_part for row in rows], object),  # (rows,)
        "state": np.stack([row.state for row in rows]),  # (rows, state_size)
        "num_chars": np.array(counts, np.int32),
    }


def _prompt_parts(prompt: bytes) -> Iterator[bytes]:
    """Split a prompt into parts of `_PROMPT_CHARS` characters; invalid UTF-8 becomes U+FFFD, as in the graph."""
    text = prompt.decode("utf-8", "replace")
    yield text[:_PROMPT_CHARS].encode()
    for start in range(_PROMPT_CHARS, len(text), _PROMPT_CHARS):
        yield text[start : start + _PROMPT_CHARS].encode()
