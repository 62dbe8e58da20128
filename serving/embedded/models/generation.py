"""Continuous batching of text generation: the rows of all requests share a batch and join or leave it between calls.

The text of a row depends only on its own inputs and is the same in chunks of any size, so calls of
`generate_from_state` on any set of rows answer `generate`. Only requests that the graph accepts are batched; the
others run alone, so that the graph's own error reaches the client.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.embedded.codec.signature import Tensors
from serving.embedded.models.rows import Outputs, Request, Row, batch
from serving.embedded.statuses import RequestError, invalid
from serving.graph.generation_config import MAX_PENALTY, WINDOW, Limits

_log = logging.getLogger(__name__)

_CHUNK_CHARS = 32  # generated per call while rows may join or leave: every few milliseconds
_LONG_SECONDS = 0.3  # of a call for rows that nothing else waits for: each call costs as much as some characters
_ABOVE_ZERO = np.finfo(np.float32).tiny  # the graph may round smaller values to zero

Run = Callable[[str, Tensors], dict[str, NDArray[Any]]]


class Generator:
    """Generates text for many requests, with the signatures that continue a text from a state.

    Two threads call the graph. One may make a long call while no other request is there; a request that arrives
    meanwhile is answered by the other in short calls, and the rows come together when the long call ends. Where an
    operation of the graph uses one core, a large batch is divided into two calls at the same time.

    Example: `test_a_request_joins_a_running_batch` in tests/serving/embedded/models/test_generation.py.
    """

    def __init__(
        self,
        run: Run,
        signature: str,
        state_size: int,
        limits: Limits,
        max_rows: int,
        max_waiting: int,
        divided: int | None = None,
    ) -> None:
        """Start the threads.

        Args:
          run: calls a signature of the graph.
          signature: `generate_from_state` or `sample_from_state`.
          state_size: width of the signature's state.
          limits: of the export.
          max_rows: size of the batch.
          max_waiting: rows that may queue for a place in the batch; more are rejected.
          divided: number of rows from which the batch is divided into two calls; None: never.
        """
        self._run, self._signature, self._state_size, self._limits = run, signature, state_size, limits
        self._max_rows, self._max_waiting, self._divided = max_rows, max_waiting, divided or max_rows + 1
        self._queue: deque[Request] = deque()
        self._ready: list[Row] = []  # have their places and are in no call
        self._long_rows = 0  # in the long call; 0: there is none
        self._short_rows = 0  # in short calls
        self._pace = 0, 1.0  # rows and seconds per character of the last call
        self._lone = 0  # consecutive requests that came while no other was here
        self._changed = threading.Condition()
        self._stopped = False
        self._threads = [threading.Thread(target=self._work, name="generation", daemon=True) for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def accepts(self, inputs: Tensors) -> bool:
        """Return whether the graph certainly accepts these inputs: shapes match and all values are in range."""
        prompt = inputs["prompt"]
        state = inputs.get("state")
        return bool(
            prompt.ndim == 1
            and all(inputs[name].shape == prompt.shape for name in inputs if name != "state")
            and (state is None or state.shape == (prompt.size, self._state_size) and np.isfinite(state).all())
            and all(self._in_range(name, values) for name, values in inputs.items())
            and self._fits(prompt.tolist(), int(inputs["num_chars"].max(initial=0)))
        )

    def _in_range(self, name: str, values: NDArray[Any]) -> bool:
        if name == "stop":
            return all(len(stop.decode("utf-8", "replace")) <= WINDOW for stop in values)
        ranges = {
            "num_chars": (0, self._limits.max_chars),
            "temperature": (0.0, self._limits.max_temperature),
            "top_k": (0, np.inf),
            "top_p": (_ABOVE_ZERO, 1.0),
            "repetition_penalty": (_ABOVE_ZERO, MAX_PENALTY),
        }
        low, high = ranges.get(name, (None, None))
        return low is None or bool(((values >= low) & (values <= high)).all())

    def _fits(self, prompts: list[bytes], num_chars: int) -> bool:
        """Return whether prompts and requested characters are within the bounds that the export states."""
        bound, rows = self._limits.max_batch_chars, len(prompts)
        if not bound:
            return True
        longest = max(map(len, prompts), default=0)  # bytes
        if rows * longest > bound:
            longest = max(len(prompt.decode("utf-8", "replace")) for prompt in prompts)
        return rows * longest <= bound and rows * num_chars <= max(bound, self._limits.max_chars)

    def submit(self, inputs: Tensors) -> "Future[Outputs]":
        """Queue a request that `accepts` is true for; cancelling the future removes its rows.

        Raises:
          RequestError: the queue is full, or the request has more rows than the queue holds.
        """
        request = Request(inputs, self._state_size)
        rows = request.rows
        if rows > max(self._max_waiting, self._max_rows):
            raise invalid(f"Task size {rows} is larger than maximum input batch size {self._max_waiting}")
        with self._changed:
            waiting = sum(queued.waiting for queued in self._queue)
            if self._stopped or waiting and waiting + rows > self._max_waiting:
                raise RequestError("UNAVAILABLE", "The batch scheduling queue to which this task was submitted is full")
            if rows:
                idle = not (self._queue or self._ready or self._long_rows or self._short_rows)
                self._lone = self._lone + 1 if idle else 0
                self._queue.append(request)
                if not self._short_rows:  # otherwise the thread of the short call takes it
                    self._changed.notify()
        if not rows:
            request.resolve()
        return request.future

    def stop(self) -> None:
        """Finish the queued requests, then end the threads."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (call := self._begin()) is not None:
            rows, chars = call
            counts = [0 if row.reads else min(row.chars_left, chars) for row in rows]
            started = time.perf_counter()
            unfinished = self._call(rows, counts)
            self._end(chars, unfinished, len(rows), max(counts), time.perf_counter() - started)
            for row in rows:
                row.request.resolve()

    def _begin(self) -> tuple[list[Row], int] | None:
        """Wait until rows may be called; return them and the characters to generate. None: the thread ends."""
        with self._changed:
            while not (share := self._gather()):
                if self._stopped and not self._short_rows and not self._long_rows:
                    return None
                self._changed.wait()
            rows, self._ready = self._ready[:share], self._ready[share:]
            chars = self._chars(rows)
            if chars > _CHUNK_CHARS:
                self._long_rows = len(rows)
            else:
                self._short_rows += len(rows)
            if self._ready:
                self._changed.notify()
            return rows, chars

    def _end(self, chars: int, unfinished: list[Row], rows: int, generated: int, seconds: float) -> None:
        """Give the unfinished rows back for the next call."""
        with self._changed:
            self._ready += unfinished
            if chars > _CHUNK_CHARS:
                self._long_rows = 0
            else:
                self._short_rows -= rows
            if generated >= _CHUNK_CHARS:
                self._pace = rows, seconds / generated
            if self._stopped:
                self._changed.notify_all()

    def _gather(self) -> int:
        """Return how many rows the next call takes from the batch; 0: wait.

        The batch is filled from the queue, round-robin, so that a large request does not block the others.
        """
        self._ready = [row for row in self._ready if not row.gone]
        called = self._short_rows + self._long_rows
        while self._queue and len(self._ready) + called < self._max_rows:
            request = self._queue.popleft()
            if request.waiting:
                self._ready.append(request.start_row())
            if request.waiting:
                self._queue.append(request)
        rows = len(self._ready) + self._short_rows
        if rows >= self._divided and not self._long_rows:
            return min(len(self._ready), (rows + 1) // 2)
        return 0 if self._short_rows else len(self._ready)

    def _chars(self, rows: list[Row]) -> int:
        """Return how many characters the next call generates: more than a chunk only for a request that is alone."""
        measured_rows, seconds = self._pace
        others = self._long_rows or self._short_rows or self._queue
        alone = not others and all(row.request is rows[0].request for row in rows)
        # A short call first unless requests come one after another: of clients that send at the same time, the first
        # would be generated apart.
        first = self._lone < 2 and any(row.is_new for row in rows)
        if not alone or first or len(rows) > measured_rows or any(row.reads for row in rows):
            return _CHUNK_CHARS
        return max(_CHUNK_CHARS, min(int(_LONG_SECONDS / seconds), *(row.chars_left for row in rows)))

    def _call(self, rows: list[Row], counts: list[int]) -> list[Row]:
        """Read a part of the prompt or generate `counts` characters in each row; return the unfinished rows."""
        names = list(rows[0].request.outputs)
        try:
            outputs = self._run(self._signature, batch(rows, counts))
            values = [dict(zip(names, row)) for row in zip(*(outputs[name] for name in names))]
        except Exception as error:
            if len(rows) == 1:
                _log.warning("A request failed during generation: %s", error)
                rows[0].request.fail(error)
                return []
            # One row fails the whole batch; run each alone, so that only its request fails.
            return [unfinished for row, count in zip(rows, counts) for unfinished in self._call([row], [count])]
        return [row for row, count, value in zip(rows, counts, values) if row.advance(count, value)]
