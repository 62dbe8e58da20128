"""Continuous batching of text generation: the rows of all requests share a batch and join or leave it between chunks.

The text of a row depends only on its own inputs and is the same in chunks of any size, so calls of
`generate_from_state` on any set of rows answer `generate`. Only requests that the graph accepts are batched; the
others run alone, so that the graph's own error reaches the client.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.embedded.codec.signature import Tensors
from serving.embedded.statuses import RequestError, invalid
from serving.graph.generation_config import Limits

_log = logging.getLogger(__name__)

SIGNATURE = "generate_from_state"
_CONTROLS = ("temperature", "top_k", "seed")
_CHUNK_CHARS = 32  # generated per call; rows join and leave between calls, every few milliseconds
_PROMPT_CHARS = 256  # of a prompt, read per call

Run = Callable[[str, Tensors], dict[str, NDArray[Any]]]
Result = tuple[NDArray[Any], NDArray[np.float32]]  # texts (rows,) as bytes, states (rows, state_size)


@dataclass
class _Row:
    request: "_Request"
    index: int  # in the request
    prompt_parts: Iterator[bytes]
    prompt_part: bytes  # for the next call
    next_part: bytes | None
    state: NDArray[np.float32]
    chars_left: int
    chunks: list[bytes] = field(default_factory=list)


@dataclass
class _Request:
    future: "Future[Result]"
    inputs: Tensors
    texts: NDArray[Any]
    states: NDArray[np.float32]
    started: int = 0  # rows that joined the batch
    finished: int = 0

    @property
    def waiting(self) -> int:
        """Rows that have not joined the batch yet."""
        return 0 if self.future.done() else len(self.texts) - self.started


class Generator:
    """Generates text for many requests in one thread.

    Example: `test_a_request_joins_a_running_batch` in tests/serving/embedded/models/test_generation.py.
    """

    def __init__(self, run: Run, limits: Limits, max_rows: int, max_waiting: int) -> None:
        """Start the thread.

        Args:
          run: calls a signature of the graph.
          limits: of the export.
          max_rows: size of the batch.
          max_waiting: rows that may queue for a place in the batch; more are rejected.
        """
        self._run, self._limits, self._max_rows, self._max_waiting = run, limits, max_rows, max_waiting
        self._queue: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="generation", daemon=True)
        self._thread.start()

    def accepts(self, inputs: Tensors) -> bool:
        """Return whether the graph certainly accepts these inputs: shapes match and all values are in range."""
        prompt = inputs["prompt"]
        state = inputs.get("state")
        return bool(
            prompt.ndim == 1
            and all(inputs[name].shape == prompt.shape for name in ("num_chars", *_CONTROLS))
            and (state is None or state.shape == (prompt.size, self._limits.state_size) and np.isfinite(state).all())
            and (inputs["num_chars"] >= 0).all()
            and (inputs["num_chars"] <= self._limits.max_chars).all()
            and self._fits(prompt.tolist(), int(inputs["num_chars"].max(initial=0)))
            and (inputs["temperature"] >= 0.0).all()
            and (inputs["temperature"] <= self._limits.max_temperature).all()
            and (inputs["top_k"] >= 0).all()
        )

    def _fits(self, prompts: list[bytes], num_chars: int) -> bool:
        """Return whether prompts and requested characters are within the bounds that the export states."""
        bound, rows = self._limits.max_batch_chars, len(prompts)
        if not bound:
            return True
        longest = max(map(len, prompts), default=0)  # bytes
        if rows * longest > bound:
            longest = max(len(prompt.decode("utf-8", "replace")) for prompt in prompts)
        return rows * longest <= bound and rows * num_chars <= max(bound, self._limits.max_chars)

    def submit(self, inputs: Tensors) -> "Future[Result]":
        """Queue a request that `accepts` is true for; cancelling the future removes its rows.

        Raises:
          RequestError: the queue is full, or the request has more rows than the queue holds.
        """
        rows = inputs["prompt"].size
        if rows > max(self._max_waiting, self._max_rows):
            raise invalid(f"Task size {rows} is larger than maximum input batch size {self._max_waiting}")
        states = np.zeros((rows, self._limits.state_size), np.float32)
        if "state" in inputs:
            states[:] = inputs["state"]
        request = _Request(Future(), inputs, np.full(rows, b"", object), states)
        with self._changed:
            waiting = sum(queued.waiting for queued in self._queue)
            if self._stopped or waiting and waiting + rows > self._max_waiting:
                raise RequestError("UNAVAILABLE", "The batch scheduling queue to which this task was submitted is full")
            if rows:
                self._queue.append(request)
                self._changed.notify()
        if not rows:
            request.future.set_result((request.texts, request.states))
        return request.future

    def stop(self) -> None:
        """Finish the queued requests, then end the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        active: list[_Row] = []
        while True:
            with self._changed:
                while not (active or self._queue or self._stopped):
                    self._changed.wait()
                active += self._next_rows(self._max_rows - len(active))
                if self._stopped and not active:
                    return
            active = self._step(active) if active else []
            active = [row for row in active if not row.request.future.done()]

    def _next_rows(self, count: int) -> list[_Row]:
        """Take up to `count` rows from the queue, round-robin, so that a large request does not block the others."""
        rows: list[_Row] = []
        while self._queue and len(rows) < count:
            request = self._queue.popleft()
            if request.waiting:
                rows.append(_row(request, request.started))
                request.started += 1
            if request.waiting:
                self._queue.append(request)
        return rows

    def _step(self, rows: list[_Row]) -> list[_Row]:
        """Read a part of the prompt or generate a chunk in each row; return the rows that are not finished."""
        counts = [0 if row.next_part is not None else min(row.chars_left, _CHUNK_CHARS) for row in rows]
        try:
            outputs = self._run(SIGNATURE, _batch(rows, counts))
            texts, states = outputs["text"], outputs["state"]
        except Exception as error:
            if len(rows) == 1:
                _log.warning("A request failed during generation: %s", error)
                _fail(rows[0].request, error)
                return []
            # One row fails the whole batch; run each alone, so that only its request fails.
            return [unfinished for row in rows for unfinished in self._step([row])]
        unfinished = []
        for row, count, text, state in zip(rows, counts, texts, states):
            row.chunks.append(text)
            row.state, row.chars_left = state, row.chars_left - count
            row.prompt_part, row.next_part = row.next_part or b"", next(row.prompt_parts, None)
            if row.chars_left or row.prompt_part or row.next_part is not None:
                unfinished.append(row)
            else:
                _finish(row)
        return unfinished


def _row(request: _Request, index: int) -> _Row:
    parts = _prompt_parts(request.inputs["prompt"][index])
    chars = int(request.inputs["num_chars"][index])
    return _Row(request, index, parts, next(parts), next(parts, None), request.states[index], chars)


def _prompt_parts(prompt: bytes) -> Iterator[bytes]:
    """Split a prompt into parts of `_PROMPT_CHARS` characters; invalid UTF-8 becomes U+FFFD, as in the graph."""
    text = prompt.decode("utf-8", "replace")
    yield text[:_PROMPT_CHARS].encode()
    for start in range(_PROMPT_CHARS, len(text), _PROMPT_CHARS):
        yield text[start : start + _PROMPT_CHARS].encode()


def _batch(rows: list[_Row], counts: list[int]) -> Tensors:
    """Return the inputs of one call of `generate_from_state`."""
    inputs = {name: np.array([row.request.inputs[name][row.index] for row in rows]) for name in _CONTROLS}
    return inputs | {
        "prompt": np.array([row.prompt_part for row in rows], object),  # (rows,)
        "state": np.stack([row.state for row in rows]),  # (rows, state_size)
        "num_chars": np.array(counts, np.int32),
    }


def _finish(row: _Row) -> None:
    request = row.request
    request.texts[row.index] = b"".join(row.chunks)
    request.states[row.index] = row.state
    request.finished += 1
    if request.finished == len(request.texts) and request.future.set_running_or_notify_cancel():
        request.future.set_result((request.texts, request.states))


def _fail(request: _Request, error: Exception) -> None:
    if not request.future.done() and request.future.set_running_or_notify_cancel():
        request.future.set_exception(error)
