"""Load the SavedModel in a clean process and exercise every signature.

Needs TensorFlow and the serving protos, and none of this project's training code.
"""

from typing import Any

import numpy as np

from components.lean_imports import tensorflow_without_keras

tensorflow_without_keras()

import tensorflow as tf  # noqa: E402

from serving.client.errors import plain_message  # noqa: E402
from serving.graph import warmup  # noqa: E402
from serving.graph.signatures import EVAL_SIGNATURE, SERVING_SIGNATURES  # noqa: E402


class InvalidExport(Exception):
    """The reason why an exported model does not work.

    Example: `test_a_missing_signature_is_rejected_by_name` in tests/serving/probe/test_in_process.py.
    """


def check(directory: str) -> str:
    """Return why the SavedModel must not be served; empty if it works."""
    try:
        probe(directory)
    except InvalidExport as error:
        return str(error)
    return ""


def probe(directory: str) -> None:
    """Call every signature and replay the warm-up file.

    Raises:
      InvalidExport: the model does not work.
    """
    model = _load(directory)
    _replay_warmup(model, directory)
    _check_generate(model)
    _check_sample(model)
    _check_scores(model)


def _load(directory: str) -> Any:
    try:
        model = tf.saved_model.load(directory)
    except Exception as error:
        raise InvalidExport(f"the SavedModel does not load: {_reason(error)}") from error
    for name in (*SERVING_SIGNATURES, EVAL_SIGNATURE):
        if name not in model.signatures:
            raise InvalidExport(f"the signature {name} is missing")
    return model


def _replay_warmup(model: Any, directory: str) -> None:
    try:
        requests = warmup.read(directory)
    except ValueError as error:
        raise InvalidExport(str(error)) from error
    for signature, inputs in requests:
        if signature not in model.signatures:
            raise InvalidExport(f"the warm-up file requests the signature {signature}, which the model does not have")
        _check_finite(f"warm-up request of {signature}", _call(model, signature, inputs))
    if missing := set(SERVING_SIGNATURES) - {signature for signature, _ in requests}:
        raise InvalidExport(f"the warm-up file has no request for {', '.join(sorted(missing))}")


def _check_generate(model: Any) -> None:
    """Check lengths, reproducibility by seed, agreement with `generate_from_state`, and validation of inputs."""
    inputs = _inputs()
    texts = _texts(model, "generate", inputs)
    if [len(text) for text in texts] != [12, 5]:
        raise InvalidExport(f"generate must return 12 and 5 characters. Received: {[len(text) for text in texts]}")
    if texts != _texts(model, "generate", inputs):
        raise InvalidExport("generate returns different texts for the same seed")
    width = model.signatures["generate_from_state"].structured_input_signature[1]["state"].shape[1]
    if texts != _texts(model, "generate_from_state", {**inputs, "state": np.zeros((2, width), np.float32)}):
        raise InvalidExport("generate_from_state with a zero state returns other texts than generate")
    try:
        _call(model, "generate", {**inputs, "temperature": np.array([-1.0, 1.0], np.float32)})
    except InvalidExport as error:
        if "temperature" not in str(error):
            raise InvalidExport("generate rejects a negative temperature without naming it") from error
    else:
        raise InvalidExport("generate accepts a negative temperature")


def _check_sample(model: Any) -> None:
    """Check that the sampling controls change nothing when they are off, and that a stop string ends its row."""
    first, second = _texts(model, "generate", _inputs())
    off = {"top_p": np.ones(2, np.float32), "repetition_penalty": np.ones(2, np.float32)}
    stop = np.array([first[2:4].encode(), b""], object)
    outputs = _call(model, "sample", {**_inputs(), **off, "stop": stop})
    texts, stopped = [text.decode() for text in outputs["text"]], outputs["stopped"].tolist()
    expected = [first[: first.index(first[2:4]) + 2], second]
    if texts != expected or stopped != [True, False]:
        raise InvalidExport(
            f"sample with a stop string must return {expected} and stop the first row only. "
            f"Received: {texts}, {stopped}"
        )


def _inputs() -> dict[str, Any]:
    return {
        "prompt": np.array([b"The ", b""], object),
        "num_chars": np.array([12, 5], np.int32),
        "temperature": np.array([0.8, 1.0], np.float32),
        "top_k": np.array([0, 3], np.int32),
        "seed": np.array([7, 8], np.int64),
    }


def _check_scores(model: Any) -> None:
    """Check that `score` and the Evaluator's signature agree."""
    text = b"The end.\n"
    score = _call(model, "score", {"text": np.array([text], object)})
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[text]))
    example = tf.train.Example(features=tf.train.Features(feature={"text": feature}))
    sums = _call(model, EVAL_SIGNATURE, {"examples": np.array([example.SerializeToString()], object)})
    _check_finite("score", score)
    _check_finite(EVAL_SIGNATURE, sums)
    if not np.allclose(score["nll_sum"], sums["nll_sum"], rtol=1e-4):
        raise InvalidExport(
            f"score returns {score['nll_sum'][0]} nats and {EVAL_SIGNATURE} {sums['nll_sum'][0]} for the same text"
        )


def _texts(model: Any, signature: str, inputs: dict[str, Any]) -> list[str]:
    return [text.decode("utf-8") for text in _call(model, signature, inputs)["text"]]


def _call(model: Any, signature: str, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    try:
        outputs = model.signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()})
    except Exception as error:
        raise InvalidExport(f"the signature {signature} fails: {_reason(error)}") from error
    return {name: value.numpy() for name, value in outputs.items()}


def _check_finite(source: str, outputs: dict[str, np.ndarray]) -> None:
    for name, value in outputs.items():
        if value.dtype.kind == "f" and not np.all(np.isfinite(value)):
            raise InvalidExport(f"the output {name} of the {source} is not finite")


def _reason(error: Exception) -> str:
    return plain_message(str(error))[:300] or type(error).__name__
