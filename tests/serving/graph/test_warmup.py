"""The warm-up file holds requests that TF Serving can replay, one for every signature that serves."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from serving.graph import warmup
from serving.graph.signatures import SERVING_SIGNATURES

pytestmark = pytest.mark.integration


def records(*logs: bytes, at: Path) -> str:
    (at / "assets.extra").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(at / warmup.PLACE)) as writer:
        for log in logs:
            writer.write(log)
    return str(at)


def test_the_file_lies_where_tf_serving_looks_for_it(tmp_path: Path) -> None:
    warmup.write(str(tmp_path), "mine", 8)
    files = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    assert files == ["assets.extra/tf_serving_warmup_requests"]


def test_every_serving_signature_is_asked_with_one_row_each() -> None:
    asked = list(warmup.requests(8))
    assert {signature for signature, _ in asked} == set(SERVING_SIGNATURES)
    for _, inputs in asked:
        assert {len(value) for value in inputs.values()} == {1}


def test_both_ways_to_draw_are_warmed_up() -> None:
    top_ks = {int(inputs["top_k"][0]) for signature, inputs in warmup.requests(8) if signature == "generate"}
    assert 0 in top_ks
    assert max(top_ks) > 0


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    warmup.write(str(tmp_path), "mine", 8)
    written, read = list(warmup.requests(8)), warmup.read(str(tmp_path))
    assert [signature for signature, _ in read] == [signature for signature, _ in written]
    for (_, expected), (_, actual) in zip(written, read):
        assert set(actual) == set(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(actual[name], value)
            assert actual[name].dtype == value.dtype


def test_requests_name_the_model_under_which_it_is_served(tmp_path: Path) -> None:
    warmup.write(str(tmp_path), "mine", 8)
    for record in tf.data.TFRecordDataset(str(tmp_path / warmup.PLACE)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        assert log.predict_log.request.model_spec.name == "mine"


def test_a_missing_file_cannot_be_replayed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"cannot be read.*Received: {tmp_path}/assets.extra"):
        warmup.read(str(tmp_path))


@pytest.mark.parametrize("garbage", [b"not a record file", b"\0" * 64])
def test_a_file_that_holds_no_records_cannot_be_replayed(tmp_path: Path, garbage: bytes) -> None:
    records(at=tmp_path)
    (tmp_path / warmup.PLACE).write_bytes(garbage)
    with pytest.raises(ValueError, match="cannot be read"):
        warmup.read(str(tmp_path))


def test_a_file_that_was_cut_off_cannot_be_replayed(tmp_path: Path) -> None:
    warmup.write(str(tmp_path), "mine", 8)
    path = tmp_path / warmup.PLACE
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="cannot be read"):
        warmup.read(str(tmp_path))


def test_records_of_something_else_cannot_be_replayed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        warmup.read(records(b"\xff\xfe text", at=tmp_path))


def test_a_request_with_a_tensor_of_no_type_cannot_be_replayed(tmp_path: Path) -> None:
    request = predict_pb2.PredictRequest()
    request.inputs["prompt"].tensor_shape.SetInParent()
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
    with pytest.raises(ValueError, match="cannot be read"):
        warmup.read(records(log.SerializeToString(), at=tmp_path))


def test_a_file_without_requests_warms_nothing_up(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no request"):
        warmup.read(records(at=tmp_path))
