"""Rows of requests between calls of the graph."""

from concurrent.futures import CancelledError

import numpy as np
import pytest

from serving.embedded.models.rows import Request, Row, batch


def request(*prompts: bytes, num_chars: int = 5, **more: np.ndarray) -> Request:
    array = np.empty(len(prompts), object)
    array[:] = prompts
    seeds, counts = np.arange(len(prompts)), np.full(len(prompts), num_chars, np.int32)
    return Request({"prompt": array, "num_chars": counts, "seed": seeds, **more}, state_size=2)


def test_a_row_reads_its_prompt_in_parts() -> None:
    row = request("é".encode() * 300, num_chars=1).start_row()
    assert row.reads
    assert row.prompt_part == "é".encode() * 256
    assert row.advance(0, {"text": b"", "state": np.ones(2)})
    assert not row.reads
    assert row.prompt_part == "é".encode() * 44
    assert not row.advance(1, {"text": b"x", "state": np.full(2, 3.0)})
    assert not row.request.future.done()  # until the generator is ready for the next request
    row.request.resolve()
    outputs = row.request.future.result(0)
    assert outputs["text"].tolist() == [b"x"]
    assert outputs["state"].tolist() == [[3.0, 3.0]]


def test_a_batch_keeps_the_types_of_the_inputs() -> None:
    stops = np.empty(2, object)
    stops[:] = [b"", b"ends with zero\0"]
    one = request(b"a", b"b", stop=stops)
    rows = [one.start_row(), one.start_row()]
    inputs = batch(rows, [3, 0])
    assert inputs["stop"].tolist() == stops.tolist()
    assert inputs["num_chars"].tolist() == [3, 0]
    assert inputs["seed"].dtype == one.inputs["seed"].dtype
    assert inputs["state"].shape == (2, 2)


def test_a_row_that_stopped_has_nothing_left() -> None:
    one = request(b"a", stop=np.array([b"x"], object))
    assert not Row(one, 0).advance(3, {"text": b"x", "state": np.zeros(2), "stopped": True})
    one.resolve()
    assert one.future.result(0)["stopped"].tolist() == [True]


def test_a_request_resolves_once() -> None:
    failed, gone = request(b"a"), request(b"a")
    failed.finish_row()
    gone.finish_row()
    failed.fail(ValueError("first"))
    failed.fail(ValueError("second"))
    failed.resolve()
    with pytest.raises(ValueError, match="first"):
        failed.future.result(0)
    assert gone.future.cancel()
    gone.resolve()
    gone.fail(ValueError("late"))
    assert not gone.waiting
    with pytest.raises(CancelledError):
        gone.future.result(0)
