"""Continuous batching of text generation: rows of all requests write together, and join or leave between chunks.

The text of a row depends on its own inputs only and is the same in chunks of any size, so `generate` can be answered
by calls of `generate_from_state` with whatever rows are there. A request that could be refused does not come here: the
graph itself says no to it, alone.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.embedded.signature import Tensors
from serving.embedded.statuses import Refusal
from serving.limits import Limits

SIGNATURE = "generate_from_state"
_CHUNK = 32  # characters written between two chances to join: some milliseconds
_PIECE = 256  # characters of a prompt read at a time
_LARGEST_TEMPERATURE = 100.0

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
    texts: NDArray[Any]
    states: NDArray[np.float32]
    waiting: int


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
        self._queue: deque[_Row] = deque()
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
            and (inputs["temperature"] <= _LARGEST_TEMPERATURE).all()
            and (inputs["top_k"] >= 0).all()
        )

    def submit(self, inputs: Tensors) -> "Future[Result]":
        """Queue a request that `takes` accepts; cancelling the future takes its rows out.

        Raises:
          Refusal: too much is waiting already.
        """
        rows = inputs["prompt"].size
        states = np.array(inputs.get("state", np.zeros((rows, self._limits.state_size))), np.float32)
        request = _Request(Future(), np.full(rows, b"", object), states, rows)
        new = [_row(request, place, inputs) for place in range(rows)]
        with self._changed:
            if self._stopped or len(self._queue) and len(self._queue) + rows > self._max_waiting:
                raise Refusal("UNAVAILABLE", "The batch scheduling queue to which this task was submitted is full")
            self._queue.extend(new)
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
                while self._queue and len(active) < self._max_rows:
                    active.append(self._queue.popleft())
            if not active:
                return
            active = [row for row in active if not row.request.answer.done()]
            if active:
                active = self._advance(active)

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
        except Exception as error:
            if len(rows) == 1:
                _fail(rows[0].request, error)
                return []
            # No row may suffer from another one's fault: each for itself this time.
            return [left for row in rows for left in self._advance([row])]
        for row, count, text, state in zip(rows, counts, outputs["text"], outputs["state"]):
            row.written.append(text)
            row.state, row.left = state, row.left - count
            row.piece, row.following = row.following or b"", next(row.pieces, None)
        done = [row for row, count in zip(rows, counts) if not row.left and not row.piece and row.following is None]
        for row in done:
            _finish(row)
        finished = set(map(id, done))
        return [row for row in rows if id(row) not in finished]


def _row(request: _Request, place: int, inputs: Tensors) -> _Row:
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
    """A prompt in parts; whole if it is short or not UTF-8, for broken characters may not be cut."""
    try:
        text = prompt.decode()
    except UnicodeDecodeError:
        text = ""
    if len(text) <= _PIECE:
        yield prompt
        return
    for start in range(0, len(text), _PIECE):
        yield text[start : start + _PIECE].encode()


def _texts(values: list[bytes]) -> NDArray[Any]:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _finish(row: _Row) -> None:
    request = row.request
    request.texts[row.place] = b"".join(row.written)
    request.states[row.place] = row.state
    request.waiting -= 1
    if not request.waiting and request.answer.set_running_or_notify_cancel():
        request.answer.set_result((request.texts, request.states))


def _fail(request: _Request, error: Exception) -> None:
    if not request.answer.done() and request.answer.set_running_or_notify_cancel():
        request.answer.set_exception(error)
