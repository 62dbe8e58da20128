"""Warm-up requests, which TF Serving replays before a new version takes traffic."""

import os
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

from serving.graph.generation_config import WINDOW

PLACE = os.path.join("assets.extra", "tf_serving_warmup_requests")


def requests(state_size: int) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yield requests for every serving signature, as (signature, inputs by name).

    Args:
      state_size: width of the state of `generate_from_state`; that of `sample_from_state` follows from it.
    """
    prompt = np.array([b"The "], object)
    controls: dict[str, np.ndarray] = {
        "num_chars": np.array([8], np.int32),
        "temperature": np.array([0.8], np.float32),
        "top_k": np.array([0], np.int32),
        "seed": np.array([1], np.int64),
    }
    yield "serving_default", {"prompt": prompt}
    yield "generate", {"prompt": prompt, **controls}
    yield "generate", {"prompt": prompt, **controls, "top_k": np.array([5], np.int32)}
    state = np.zeros((1, state_size), np.float32)
    yield "generate_from_state", {"prompt": prompt, "state": state, **controls}
    more: dict[str, np.ndarray] = {
        "top_p": np.array([0.9], np.float32),
        "repetition_penalty": np.array([1.2], np.float32),
        "stop": np.array([b"\n"], object),
    }
    yield "sample", {"prompt": prompt, **controls, **more}
    wide = np.zeros((1, state_size + WINDOW), np.float32)
    yield "sample_from_state", {"prompt": prompt, "state": wide, **controls, **more}
    text = np.array([b"The end."], object)
    yield "score", {"text": text}
    yield "alternatives", {"text": text, "top_n": np.array([1], np.int32)}


def write(directory: str, model_name: str, state_size: int) -> None:
    """Add the warm-up file to a SavedModel."""
    path = os.path.join(directory, PLACE)
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.TFRecordWriter(path) as writer:
        for signature, inputs in requests(state_size):
            request = predict_pb2.PredictRequest(
                model_spec=model_pb2.ModelSpec(name=model_name, signature_name=signature)
            )
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())


def read(directory: str) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Read the requests of a SavedModel's warm-up file, as (signature, inputs by name).

    Raises:
      ValueError: the file is missing, or TF Serving could not replay it.
    """
    path = os.path.join(directory, PLACE)
    try:
        records = [record.numpy() for record in tf.data.TFRecordDataset(path)]
        logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
        replayed = [_inputs(log.predict_log.request) for log in logs]
    except Exception as error:
        raise ValueError(f"The warm-up file cannot be read: {error}. Received: {path}") from error
    if not replayed:
        raise ValueError(f"The warm-up file holds no request. Received: {path}")
    return replayed


def _inputs(request: predict_pb2.PredictRequest) -> tuple[str, dict[str, np.ndarray]]:
    inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
    return request.model_spec.signature_name, inputs
