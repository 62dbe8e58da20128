"""Continuous batching of text generation: rows of all requests write together, and join or leave between chunks.

The text of a row depends on its own inputs only and is the same in chunks of any size, so `generate` can be answered
by calls of `generate_from_state` with whatever rows are there. A request that could be refused does not come here: the
graph itself says no to it, alone.
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
from serving.embedded.statuses import Refusal, invalid
from serving.graph.generation_config import LARGEST_TEMPERATURE, Limits

_log = logging.getLogger(__name__)

SIGNATURE = "generate_from_state"
_CHUNK = 32  # characters written between two chances to join: some milliseconds
_PIECE = 256  # characters of a prompt read at a time

Run = Callable[[str, Tensors], dict[str, NDArray[Any]]]
Result = tuple[NDArray[Any], NDArray[np.float32]]  # texts (rows,) as bytes, states (rows, state_size)


@dataclass
class _Row:
    request: "_Request"
    place: int
    pieces: Iterator[bytes]
    piece: bytes
    following: bytes | None
    state: NDArray[np.float32]
    left: int
    temperature: float
    top_k: int
    seed: int
    written: list[bytes] = field(default_factory=list)


@dataclass
class _Request:
    answer: "Future[Result]"
    inputs: Tensors
    texts: NDArray[Any]
    states: NDArray[np.float32]
    begun: int = 0  # rows that have a place, or had one
    finished: int = 0

    @property
    def waiting(self) -> int:
        """Rows that have had no place yet."""
        return 0 if self.answer.done() else len(self.texts) - self.begun


class Generator:
    """Writes for many requests at once, in a thread of its own."""

    def __init__(self, run: Run, limits: Limits, max_rows: int, max_waiting: int) -> None:
        """Start the thread.

        Args:
          run: answers a call of `generate_from_state`.
          max_rows: rows that write together.
          max_waiting: rows that may wait for a place; more are refused.
        """
        self._run, self._limits, self._max_rows, self._max_waiting = run, limits, max_rows, max_waiting
        self._queue: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="generation", daemon=True)
        self._thread.start()

    def takes(self, inputs: Tensors) -> bool:
        """Whether the graph accepts these inputs for certain: shapes that fit and every value in its range."""
        prompt = inputs["prompt"]
        state = inputs.get("state")
        return bool(
            prompt.ndim == 1
            and all(inputs[name].shape == prompt.shape for name in ("num_chars", "temperature", "top_k", "seed"))
            and (state is None or state.shape == (prompt.size, self._limits.state_size) and np.isfinite(state).all())
            and (inputs["num_chars"] >= 0).all()
            and (inputs["num_chars"] <= self._limits.max_chars).all()
            and (inputs["temperature"] >= 0.0).all()
            and (inputs["temperature"] <= LARGEST_TEMPERATURE).all()
            and (inputs["top_k"] >= 0).all()
        )

    def submit(self, inputs: Tensors) -> "Future[Result]":
        """Queue a request that `takes` accepts; cancelling the future takes its rows out.

        Raises:
          Refusal: too much is waiting already, or the request is larger than what may wait.
        """
        rows = inputs["prompt"].size
        if rows > max(self._max_waiting, self._max_rows):
            raise invalid(f"Task size {rows} is larger than maximum input batch size {self._max_waiting}")
        states = np.zeros((rows, self._limits.state_size), np.float32)
        if "state" in inputs:
            states[:] = inputs["state"]
        request = _Request(Future(), inputs, np.full(rows, b"", object), states)
        with self._changed:
            waiting = sum(one.waiting for one in self._queue)
            if self._stopped or waiting and waiting + rows > self._max_waiting:
                raise Refusal("UNAVAILABLE", "The batch scheduling queue to which this task was submitted is full")
            if rows:
                self._queue.append(request)
                self._changed.notify()
        if not rows:
            request.answer.set_result((request.texts, request.states))
        return request.answer

    def stop(self) -> None:
        """End the thread after what is queued is written."""
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
                active += self._joining(self._max_rows - len(active))
                if self._stopped and not active:
                    return
            active = self._advance(active) if active else []
            active = [row for row in active if not row.request.answer.done()]

    def _joining(self, places: int) -> list[_Row]:
        """Rows for the free places, in turn from every request, so that a large one does not keep the others out."""
        rows: list[_Row] = []
        while self._queue and len(rows) < places:
            request = self._queue.popleft()
            if request.waiting:
                rows.append(_row(request, request.begun))
                request.begun += 1
            if request.waiting:
                self._queue.append(request)
        return rows

    def _advance(self, rows: list[_Row]) -> list[_Row]:
        """Read a piece or write a chunk in each row; return the rows that are not at their end."""
        counts = [0 if row.following is not None else min(row.left, _CHUNK) for row in rows]
        inputs = {
            "prompt": _texts([row.piece for row in rows]),
            "state": np.stack([row.state for row in rows]),
            "num_chars": np.array(counts, np.int32),
            "temperature": np.array([row.temperature for row in rows], np.float32),
            "top_k": np.array([row.top_k for row in rows], np.int32),
            "seed": np.array([row.seed for row in rows], np.int64),
        }
        try:
            outputs = self._run(SIGNATURE, inputs)
            texts, states = outputs["text"], outputs["state"]
        except Exception as error:
            if len(rows) == 1:
                _log.warning("A request failed while it was written: %s", error)
                _fail(rows[0].request, error)
                return []
            # No row may suffer from another one's fault: each for itself this time.
            return [left for row in rows for left in self._advance([row])]
        for row, count, text, state in zip(rows, counts, texts, states):
            row.written.append(text)
            row.state, row.left = state, row.left - count
            row.piece, row.following = row.following or b"", next(row.pieces, None)
        done = [row for row, count in zip(rows, counts) if not row.left and not row.piece and row.following is None]
        for row in done:
            _finish(row)
        finished = set(map(id, done))
        return [row for row in rows if id(row) not in finished]


def _row(request: _Request, place: int) -> _Row:
    inputs = request.inputs
    pieces = _pieces(inputs["prompt"][place])
    return _Row(
        request,
        place,
        pieces,
        next(pieces),
        next(pieces, None),
        request.states[place],
        int(inputs["num_chars"][place]),
        float(inputs["temperature"][place]),
        int(inputs["top_k"][place]),
        int(inputs["seed"][place]),
    )


def _pieces(prompt: bytes) -> Iterator[bytes]:
    """A prompt in parts of `_PIECE` characters; what is not UTF-8 becomes U+FFFD, as it does in the graph."""
    text = prompt.decode("utf-8", "replace")
    yield text[:_PIECE].encode()
    for start in range(_PIECE, len(text), _PIECE):
        yield text[start : start + _PIECE].encode()


def _texts(values: list[bytes]) -> NDArray[Any]:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _finish(row: _Row) -> None:
    request = row.request
    request.texts[row.place] = b"".join(row.written)
    request.states[row.place] = row.state
    request.finished += 1
    if request.finished == len(request.texts) and request.answer.set_running_or_notify_cancel():
        request.answer.set_result((request.texts, request.states))


def _fail(request: _Request, error: Exception) -> None:
    if not request.answer.done() and request.answer.set_running_or_notify_cancel():
        request.answer.set_exception(error)
