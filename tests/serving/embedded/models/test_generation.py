"""Continuous batching: each request gets the same text as alone, whichever other rows are in the batch.

The graph is a small automaton here; `test_batching.py` uses an exported one.
"""

import dataclasses
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, wait
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.embedded.codec.signature import Tensors
from serving.embedded.models import generation
from serving.embedded.models.generation import Generator, Run
from serving.embedded.statuses import RequestError
from serving.graph.generation_config import Limits

SIZE = 3
SIGNATURE = "generate_from_state"
LIMITS = Limits(num_chars=40, temperature=0.8, top_k=0, max_chars=1_000, state_size=SIZE, max_temperature=5.0)


def automaton(name: str, inputs: Tensors) -> dict[str, np.ndarray]:
    """Text that depends on all inputs of its row and on nothing else; the state records what was read and sampled."""
    assert name == SIGNATURE
    texts, states, stopped = [], [], np.zeros(inputs["prompt"].size, bool)
    for row, prompt in enumerate(inputs["prompt"]):
        seen, sampled = int(inputs["state"][row, 0]), int(inputs["state"][row, 1])
        for character in prompt.decode("utf-8", "replace"):
            seen = (seen * 31 + ord(character) + 1) % 9973
        written = ""
        for _ in range(inputs["num_chars"][row]):
            at = seen + sampled * int(inputs["seed"][row]) + int(inputs["top_k"][row])
            written += chr(97 + (at + int(inputs["temperature"][row] * 8)) % 26)
            seen, sampled = (seen * 31 + ord(written[-1])) % 9973, sampled + 1
            if "stop" in inputs and written[-1:] == inputs["stop"][row].decode():
                stopped[row] = True
                break
        texts.append(written.encode())
        states.append([seen, sampled, 0])
    outputs = np.empty(len(texts), object)
    outputs[:] = texts
    state = np.array(states, np.float32).reshape(-1, SIZE)
    return {"text": outputs, "state": state} | ({"stopped": stopped} if "stop" in inputs else {})


def request(*rows: tuple[str | bytes, int], seed: int = 1, **more: Any) -> dict[str, np.ndarray]:
    prompts = np.empty(len(rows), object)
    prompts[:] = [row[0].encode() if isinstance(row[0], str) else row[0] for row in rows]
    inputs = {
        "prompt": prompts,
        "num_chars": np.array([row[1] for row in rows], np.int32),
        "temperature": np.full(len(rows), 0.5, np.float32),
        "top_k": np.arange(len(rows), dtype=np.int32),
        "seed": np.arange(seed, seed + len(rows), dtype=np.int64),
    }
    if "stop" in more:
        more["stop"] = np.array([stop.encode() for stop in more["stop"]], object)
    return {**inputs, **more}


def alone(inputs: Tensors) -> dict[str, np.ndarray]:
    return automaton(SIGNATURE, {"state": np.zeros((inputs["prompt"].size, SIZE), np.float32), **inputs})


@contextmanager
def generator(
    run: Run = automaton, max_rows: int = 4, max_waiting: int = 100, divided: int | None = None
) -> Iterator[Generator]:
    running = Generator(run, SIGNATURE, SIZE, LIMITS, max_rows, max_waiting, divided)
    try:
        yield running
    finally:
        running.stop()


def same(result: Any, inputs: Tensors) -> None:
    expected = alone(inputs)
    np.testing.assert_equal(result, expected)


class Gate:
    """A graph that waits until the test releases it, and records the prompts of each call."""

    def __init__(self) -> None:
        self.calls: list[list[bytes]] = []
        self.started, self.released = threading.Event(), threading.Event()

    def __call__(self, name: str, inputs: Tensors) -> dict[str, np.ndarray]:
        self.calls.append(list(inputs["prompt"]))
        self.started.set()
        assert self.released.wait(10)
        return automaton(name, inputs)


LONG = st.integers(200, 900).map(lambda length: "ab\u00e9\n" * (length // 4))
PROMPTS = st.text(max_size=12) | st.binary(max_size=8) | LONG
ROWS = st.lists(st.tuples(PROMPTS, st.integers(0, 150)), max_size=6)


@pytest.mark.integration
@settings(max_examples=40)
@given(st.lists(ROWS, min_size=1, max_size=6), st.sets(st.integers(0, 5)), st.integers(1, 5), st.integers(0, 4))
def test_any_mix_of_requests_gets_the_texts_of_single_requests(
    requests: Any, cancelled: set[int], rows: int, divided: int
) -> None:
    with generator(max_rows=rows, divided=divided or None) as running:
        asked = [request(*one, seed=number) for number, one in enumerate(requests)]
        futures = [running.submit(inputs) for inputs in asked]
        gone = {number for number in cancelled if number < len(futures) and futures[number].cancel()}
        for number, (future, inputs) in enumerate(zip(futures, asked)):
            if number in gone:
                with pytest.raises(CancelledError):
                    future.result(10)
            else:
                same(future.result(10), inputs)


@pytest.mark.integration
def test_generation_continues_from_the_state_of_another_request() -> None:
    whole = request(("The ", 200))
    with generator() as running:
        first = running.submit(request(("The ", 77))).result(10)
        rest = running.submit(request(("", 123), state=first["state"])).result(10)
        np.testing.assert_array_equal(first["text"] + rest["text"], alone(whole)["text"])
        np.testing.assert_array_equal(rest["state"], alone(whole)["state"])


def test_a_request_without_rows_is_empty() -> None:
    with generator() as running:
        outputs = running.submit(request()).result(10)
    assert (outputs["text"].shape, outputs["state"].shape) == ((0,), (0, SIZE))


@pytest.mark.integration
def test_a_request_joins_a_running_batch() -> None:
    gate = Gate()
    with generator(gate) as running:
        long, short = request(("long", 900)), request(("short", 1), seed=9)
        first = running.submit(long)
        assert gate.started.wait(10)
        second = running.submit(short)
        gate.released.set()
        same(second.result(10), short)
        assert gate.calls[1] == [b"", b"short"]
        same(first.result(10), long)


class Clock:
    """Stands in for the module `time`: a call of the graph takes 10 ms, and 1 ms for each character."""

    def __init__(self) -> None:
        self.now, self.durations = 0.0, list[float]()

    def perf_counter(self) -> float:
        return self.now

    def run(self, name: str, inputs: Tensors) -> dict[str, np.ndarray]:
        self.durations.append(0.01 + 0.001 * inputs["num_chars"].max())
        self.now += self.durations[-1]
        return automaton(name, inputs)


class HeldClock(Clock):
    """A clock whose long calls wait until they are released."""

    def __init__(self) -> None:
        super().__init__()
        self.started, self.released = threading.Event(), threading.Event()

    def run(self, name: str, inputs: Tensors) -> dict[str, np.ndarray]:
        if inputs["num_chars"].max() > 32:
            self.started.set()
            assert self.released.wait(10)
        return super().run(name, inputs)


def test_a_request_that_is_alone_gets_long_calls_of_limited_duration(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(generation, "time", clock)
    with generator(clock.run) as running:
        same(running.submit(request(("long", 400))).result(10), request(("long", 400)))
    assert clock.durations[0] == pytest.approx(0.042)  # 32 characters, because nothing is measured yet
    assert len(clock.durations) == 3
    assert 0.2 < max(clock.durations) <= 0.3


def test_requests_one_after_another_get_one_long_call_each(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(generation, "time", clock)
    with generator(clock.run) as running:
        running.submit(request(("first", 200))).result(10)
        calls = len(clock.durations)
        for number in (1, 2):
            same(running.submit(request(("next", 200))).result(10), request(("next", 200)))
            assert len(clock.durations) == calls + number


def test_requests_that_came_together_start_with_a_short_call_the_next_time() -> None:
    gate = Gate()
    with generator(gate) as running:
        together = [running.submit(request(("a", 40))) for _ in range(3)]
        gate.released.set()
        wait(together, 10)
        gate.started.clear()
        gate.released.clear()
        first = running.submit(request(("first", 900)))
        assert gate.started.wait(10)
        calls = len(gate.calls)
        second = running.submit(request(("second", 900)))
        gate.released.set()
        wait([first, second], 10)
        assert gate.calls[calls] == [b"", b"second"]


def test_a_large_batch_is_divided_into_two_calls_at_the_same_time() -> None:
    together, sizes = threading.Barrier(2), list[int]()

    def run(name: str, inputs: Tensors) -> dict[str, np.ndarray]:
        sizes.append(inputs["prompt"].size)
        together.wait(10)
        return automaton(name, inputs)

    asked = request(*[(f"row {number}", 32) for number in range(7)])
    with generator(run, max_rows=10, divided=6) as running:
        same(running.submit(asked).result(10), asked)
    assert sorted(sizes) == [3, 4]


def test_more_rows_than_were_measured_start_with_a_short_call(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(generation, "time", clock)
    with generator(clock.run) as running:
        running.submit(request(("one", 300))).result(10)
        calls = len(clock.durations)
        running.submit(request(("two", 300), ("rows", 300))).result(10)
    assert clock.durations[calls] == pytest.approx(0.042)
    assert clock.durations[calls + 1] > 0.15


def test_a_request_does_not_wait_for_the_long_call_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HeldClock()
    monkeypatch.setattr(generation, "time", clock)
    long, short = request(("long", 300)), request(("short", 80), ("", 3), seed=9)
    with generator(clock.run) as running:
        first = running.submit(long)
        assert clock.started.wait(10)
        same(running.submit(short).result(10), short)
        assert not first.done()
        clock.released.set()
        same(first.result(10), long)


def test_stop_waits_for_a_long_call(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HeldClock()
    monkeypatch.setattr(generation, "time", clock)
    running = Generator(clock.run, SIGNATURE, SIZE, LIMITS, 4, 100)
    first = running.submit(request(("long", 300)))
    assert clock.started.wait(10)
    threading.Timer(0.05, clock.released.set).start()
    running.stop()
    same(first.result(0), request(("long", 300)))


def test_a_row_ends_with_its_stop_string_and_the_others_continue() -> None:
    asked = request(("a", 150), ("b", 150), ("c" * 300, 90), stop=["", "q", "k"])
    with generator() as running:
        outputs = running.submit(asked).result(10)
    same(outputs, asked)
    assert outputs["stopped"].tolist() == [False, True, True]
    assert outputs["text"][1].endswith(b"q")


@pytest.mark.integration
def test_a_cancelled_request_leaves_the_batch() -> None:
    gate = Gate()
    with generator(gate) as running:
        gone, stays = request(("gone", 900)), request(("stays", 400), seed=9)
        future = running.submit(gone)
        assert gate.started.wait(10)
        assert future.cancel()
        kept = running.submit(stays)
        gate.released.set()
        same(kept.result(10), stays)
        assert {len(rows) for rows in gate.calls} == {1}


def test_a_large_request_does_not_block_a_small_one() -> None:
    gate = Gate()
    with generator(gate, max_rows=2) as running:
        large = running.submit(request(*[("large", 32)] * 40))
        assert gate.started.wait(10)
        small = running.submit(request(("small", 32)))
        gate.released.set()
        wait([large, small], 10)
    assert [number for number, rows in enumerate(gate.calls) if b"small" in rows] in ([1], [2])


def failing(prompt: bytes) -> Run:
    def run(name: str, inputs: Tensors) -> dict[str, np.ndarray]:
        if prompt in inputs["prompt"]:
            raise RequestError("INTERNAL", "this row fails")
        return automaton(name, inputs)

    return run


@pytest.mark.integration
def test_only_the_request_with_the_failing_row_fails() -> None:
    good = [request(("a" * 600, 80), ("b", 5), seed=3), request(("c", 64), seed=8)]
    failed = request(("d", 3), ("bad", 3), ("e", 300))
    with generator(failing(b"bad"), max_rows=8) as running:
        futures = [running.submit(inputs) for inputs in (good[0], failed, good[1])]
        with pytest.raises(RequestError, match="this row fails"):
            futures[1].result(10)
        same(futures[0].result(10), good[0])
        same(futures[2].result(10), good[1])
        same(running.submit(good[1]).result(10), good[1])  # and the generator still works


def test_missing_outputs_fail_the_request_and_not_the_thread() -> None:
    with generator(lambda name, inputs: {}) as running:
        for _ in range(2):
            with pytest.raises(KeyError):
                running.submit(request(("a", 3))).result(10)


@pytest.mark.integration
def test_a_full_queue_rejects_requests() -> None:
    gate = Gate()
    with generator(gate, max_rows=2, max_waiting=5) as running:
        first = running.submit(request(*[("a", 1)] * 2))
        assert gate.started.wait(10)
        second = running.submit(request(*[("b", 1)] * 5))
        with pytest.raises(RequestError, match="queue .* is full") as caught:
            running.submit(request(("c", 1)))
        assert caught.value.http == 503
        assert second.cancel()
        third = running.submit(request(("c", 1)))  # cancelled requests do not count
        gate.released.set()
        wait([first, third], 10)
        same(third.result(), request(("c", 1)))


@pytest.mark.integration
def test_a_request_larger_than_the_queue_is_invalid() -> None:
    with generator(max_rows=2, max_waiting=5) as running:
        with pytest.raises(RequestError, match="Task size 6 is larger than maximum") as caught:
            running.submit(request(*[("a", 1)] * 6))
        assert caught.value.http == 400
        same(running.submit(request(*[("a", 1)] * 5)).result(10), request(*[("a", 1)] * 5))


@pytest.mark.integration
def test_stop_finishes_queued_requests_and_rejects_others() -> None:
    gate = Gate()
    running = Generator(gate, SIGNATURE, SIZE, LIMITS, 1, 100)
    asked = [request(("a", 100)), request(("b", 50), ("c", 3), seed=5)]
    futures = [running.submit(inputs) for inputs in asked]
    threading.Timer(0.1, gate.released.set).start()
    running.stop()
    for future, inputs in zip(futures, asked):
        assert future.done()
        same(future.result(), inputs)
    with pytest.raises(RequestError):
        running.submit(asked[0])
    assert not [one for one in threading.enumerate() if one in running._threads]


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one | {"num_chars": np.array([-1], np.int32)},
        lambda one: one | {"num_chars": np.array([1_001], np.int32)},
        lambda one: one | {"temperature": np.array([-0.1], np.float32)},
        lambda one: one | {"temperature": np.array([5.1], np.float32)},
        lambda one: one | {"temperature": np.array([np.nan], np.float32)},
        lambda one: one | {"top_k": np.array([-1], np.int32)},
        lambda one: one | {"top_p": np.array([0.0], np.float32)},
        lambda one: one | {"top_p": np.array([1.1], np.float32)},
        lambda one: one | {"repetition_penalty": np.array([0.0], np.float32)},
        lambda one: one | {"repetition_penalty": np.array([10.5], np.float32)},
        lambda one: one | {"stop": np.array([b"x" * 65], object)},
        lambda one: one | {"seed": np.array([1, 2])},
        lambda one: one | {"prompt": np.array(b"x", object)},
        lambda one: one | {"prompt": np.array([[b"x"]], object)},
        lambda one: one | {"state": np.zeros((1, SIZE + 1), np.float32)},
        lambda one: one | {"state": np.zeros(SIZE, np.float32)},
        lambda one: one | {"state": np.full((1, SIZE), np.inf, np.float32)},
    ],
)
def test_inputs_that_the_graph_may_reject_are_not_accepted(change: Callable[[Any], Any]) -> None:
    with generator() as running:
        good = request(("x", 1_000))
        assert running.accepts(good)
        assert running.accepts(good | {"state": np.ones((1, SIZE), np.float32)})
        ones = dict.fromkeys(("top_p", "repetition_penalty"), np.ones(1, np.float32))
        assert running.accepts(good | ones | {"stop": np.array(["é".encode() * 64], object)})
        assert not running.accepts(change(good))


def test_requests_beyond_the_bound_of_all_rows_are_left_to_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    bounded = dataclasses.replace(LIMITS, max_batch_chars=1_200)
    with generator() as running:
        monkeypatch.setattr(running, "_limits", bounded)
        for rows, accepted in (
            ([("é" * 600, 600), ("", 1)], True),
            ([("é" * 601, 1), ("", 1)], False),
            ([("", 601), ("", 1)], False),
            ([("", 1_000)], True),
        ):
            assert running.accepts(request(*rows)) is accepted
