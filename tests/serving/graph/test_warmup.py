"""The warm-up file has a request for every serving signature, which TF Serving can replay."""

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


def test_file_is_where_tf_serving_reads_it(tmp_path: Path) -> None:
    warmup.write(str(tmp_path), "mine", 8)
    files = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    assert files == ["assets.extra/tf_serving_warmup_requests"]


def test_every_serving_signature_has_a_request_of_one_row() -> None:
    asked = list(warmup.requests(8))
    assert {signature for signature, _ in asked} == set(SERVING_SIGNATURES)
    for _, inputs in asked:
        assert {len(value) for value in inputs.values()} == {1}


def test_sampling_with_and_without_top_k_is_warmed_up() -> None:
    top_ks = {int(inputs["top_k"][0]) for signature, inputs in warmup.requests(8) if signature == "generate"}
    assert 0 in top_ks
    assert max(top_ks) > 0


def test_requests_are_read_as_written(tmp_path: Path) -> None:
    warmup.write(str(tmp_path), "mine", 8)
    written, read = list(warmup.requests(8)), warmup.read(str(tmp_path))
    assert [signature for signature, _ in read] == [signature for signature, _ in written]
    for (_, expected), (_, actual) in zip(written, read):
        assert set(actual) == set(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(actual[name], value)
            assert actual[name].dtype == value.dtype


def test_requests_have_the_name_of_the_served_model(tmp_path: Path) -> None:
    warmup.write(str(tmp_path), "mine", 8)
    for record in tf.data.TFRecordDataset(str(tmp_path / warmup.PLACE)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        assert log.predict_log.request.model_spec.name == "mine"


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"cannot be read.*Received: {tmp_path}/assets.extra"):
        warmup.read(str(tmp_path))


@pytest.mark.parametrize("garbage", [b"not a record file", b"\0" * 64])
def test_file_without_records_is_an_error(tmp_path: Path, garbage: bytes) -> None:
    records(at=tmp_path)
    (tmp_path / warmup.PLACE).write_bytes(garbage)
    with pytest.raises(ValueError, match="cannot be read"):
        warmup.read(str(tmp_path))


def test_truncated_file_is_an_error(tmp_path: Path) -> None:
    warmup.write(str(tmp_path), "mine", 8)
    path = tmp_path / warmup.PLACE
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="cannot be read"):
        warmup.read(str(tmp_path))


def test_other_records_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        warmup.read(records(b"\xff\xfe text", at=tmp_path))


def test_tensor_without_a_type_is_an_error(tmp_path: Path) -> None:
    request = predict_pb2.PredictRequest()
    request.inputs["prompt"].tensor_shape.SetInParent()
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
    with pytest.raises(ValueError, match="cannot be read"):
        warmup.read(records(log.SerializeToString(), at=tmp_path))


def test_file_without_requests_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no request"):
        warmup.read(records(at=tmp_path))
