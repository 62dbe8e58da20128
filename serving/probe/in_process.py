"""Load the SavedModel in a clean process and exercise every signature.

Needs TensorFlow and the serving protos, and none of this project's training code.
"""

from typing import Any

import numpy as np

from components.lean_imports import tensorflow_without_keras

tensorflow_without_keras()

import tensorflow as tf  # noqa: E402

from serving.graph import warmup  # noqa: E402
from serving.graph.signatures import EVAL_SIGNATURE, SERVING_SIGNATURES  # noqa: E402


class Unfit(Exception):
    """The model does not do what it must; the message says what."""


def probe(directory: str) -> None:
    """Use every signature and replay the warm-up file.

    Raises:
      Unfit: with the reason.
    """
    try:
        model = tf.saved_model.load(directory)
    except Exception as error:
        raise Unfit(f"the SavedModel does not load: {_first_line(error)}") from error
    for name in (*SERVING_SIGNATURES, EVAL_SIGNATURE):
        if name not in model.signatures:
            raise Unfit(f"the signature {name} is missing")
    try:
        requests = warmup.read(directory)
    except ValueError as error:
        raise Unfit(str(error)) from error
    replayed = set()
    for signature, inputs in requests:
        if signature not in model.signatures:
            raise Unfit(f"the warm-up file asks for the signature {signature}, which the model does not have")
        _check_outputs(f"warm-up request of {signature}", _call(model, signature, inputs))
        replayed.add(signature)
    if missing := set(SERVING_SIGNATURES) - replayed:
        raise Unfit(f"the warm-up file has no request for {', '.join(sorted(missing))}")
    _check_generate(model)
    _check_scores(model)


def _check_generate(model: Any) -> None:
    inputs = {
        "prompt": np.array([b"The ", b""], object),
        "num_chars": np.array([12, 5], np.int32),
        "temperature": np.array([0.8, 1.0], np.float32),
        "top_k": np.array([0, 3], np.int32),
        "seed": np.array([7, 8], np.int64),
    }
    texts = [text.decode("utf-8") for text in _call(model, "generate", inputs)["text"]]
    if [len(text) for text in texts] != [12, 5]:
        raise Unfit(f"generate was asked for 12 and 5 characters and gave {[len(text) for text in texts]}")
    if texts != [text.decode("utf-8") for text in _call(model, "generate", inputs)["text"]]:
        raise Unfit("generate gave another text for the same seed")
    width = model.signatures["generate_from_state"].structured_input_signature[1]["state"].shape[1]
    stateful = {**inputs, "state": np.zeros((2, width), np.float32)}
    if texts != [text.decode("utf-8") for text in _call(model, "generate_from_state", stateful)["text"]]:
        raise Unfit("generate_from_state with a fresh state does not give generate's text")
    try:
        _call(model, "generate", {**inputs, "temperature": np.array([-1.0, 1.0], np.float32)})
    except Unfit as error:
        if "temperature" not in str(error):
            raise Unfit("generate refuses a negative temperature without naming it") from error
    else:
        raise Unfit("generate accepts a negative temperature")


def _check_scores(model: Any) -> None:
    text = "The end.\n"
    score = _call(model, "score", {"text": np.array([text.encode()], object)})
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode()]))
    example = tf.train.Example(features=tf.train.Features(feature={"text": feature}))
    sums = _call(model, EVAL_SIGNATURE, {"examples": np.array([example.SerializeToString()], object)})
    _check_outputs("score", score)
    _check_outputs(EVAL_SIGNATURE, sums)
    if not np.allclose(score["nll_sum"], sums["nll_sum"], rtol=1e-4):
        raise Unfit(
            f"score gives {score['nll_sum'][0]} nats and {EVAL_SIGNATURE} {sums['nll_sum'][0]} for the same text"
        )


def _call(model: Any, signature: str, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    try:
        outputs = model.signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()})
    except Exception as error:
        raise Unfit(f"the signature {signature} fails: {_first_line(error)}") from error
    return {name: value.numpy() for name, value in outputs.items()}


def _check_outputs(what: str, outputs: dict[str, np.ndarray]) -> None:
    for name, value in outputs.items():
        if value.dtype.kind == "f" and not np.all(np.isfinite(value)):
            raise Unfit(f"the output {name} of the {what} is not finite")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    wanted = [line for line in lines if "assertion failed" in line] or lines or [type(error).__name__]
    return wanted[0][:300]


def check(directory: str) -> str:
    """Why the SavedModel must not be served; empty if it works."""
    try:
        probe(directory)
    except Unfit as error:
        return str(error)
    return ""
