"""The signatures of the SavedModel."""

from typing import Any

import tensorflow as tf

from serving.graph.one_step import OneStep

SERVING_SIGNATURES = ("serving_default", "generate", "generate_from_state", "score")
EVAL_SIGNATURE = "eval_nll"


def _spec(name: str, dtype: tf.DType, *inner: int) -> tf.TensorSpec:
    return tf.TensorSpec((None, *inner), dtype, name)


def build(model: OneStep) -> dict[str, Any]:
    """Build the signatures by name. All inputs and outputs have a batch dimension, as TF Serving's REST API requires.

    - `serving_default(prompt)`: `generate` with the defaults and a new seed for every row and request.
    - `generate(prompt, num_chars, temperature, top_k, seed)`: the new text.
    - `generate_from_state(prompt, state, num_chars, temperature, top_k, seed)`: `text` and `state`.
    - `score(text)`: `nll`, `nll_sum`, `num_chars`.
    - `eval_nll(examples)`: sums for the Evaluator, from serialized `tf.Example`s.
    """
    prompt = _spec("prompt", tf.string)
    controls = (
        _spec("num_chars", tf.int32),
        _spec("temperature", tf.float32),
        _spec("top_k", tf.int32),
        _spec("seed", tf.int64),
    )

    # Shared by several signatures, so that each of the two is traced, saved, loaded, and prepared once.
    continued = tf.function(model.generate_from_state, autograph=False)
    nll = tf.function(model.nll, autograph=False)

    def fresh(prompt: tf.Tensor) -> tf.Tensor:
        return tf.zeros((tf.shape(prompt)[0], model.state_size))

    @tf.function(input_signature=(prompt,), autograph=False)
    def serving_default(prompt: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.shape(prompt)
        text, _ = continued(
            prompt,
            fresh(prompt),
            tf.fill(rows, model.defaults.num_chars),
            tf.fill(rows, model.defaults.temperature),
            tf.fill(rows, model.defaults.top_k),
            # Not `tf.random.uniform`: it would store the exporting process's global seed in the graph, and with
            # deterministic training it raises an error without such a seed.
            tf.raw_ops.RandomUniformInt(shape=rows, minval=tf.constant(0, tf.int64), maxval=tf.int64.max),
        )
        return {"text": text}

    @tf.function(input_signature=(prompt, *controls), autograph=False)
    def generate(
        prompt: tf.Tensor, num_chars: tf.Tensor, temperature: tf.Tensor, top_k: tf.Tensor, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        text, _ = continued(prompt, fresh(prompt), num_chars, temperature, top_k, seed)
        return {"text": text}

    @tf.function(input_signature=(prompt, _spec("state", tf.float32, model.state_size), *controls), autograph=False)
    def generate_from_state(
        prompt: tf.Tensor,
        state: tf.Tensor,
        num_chars: tf.Tensor,
        temperature: tf.Tensor,
        top_k: tf.Tensor,
        seed: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        text, state = continued(prompt, state, num_chars, temperature, top_k, seed)
        return {"text": text, "state": state}

    @tf.function(input_signature=(_spec("text", tf.string),), autograph=False)
    def score(text: tf.Tensor) -> dict[str, tf.Tensor]:
        return model.score(text, nll)

    @tf.function(input_signature=(_spec("examples", tf.string),), autograph=False)
    def eval_nll(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return model.eval_nll(examples, nll)

    return {
        "serving_default": serving_default,
        "generate": generate,
        "generate_from_state": generate_from_state,
        "score": score,
        EVAL_SIGNATURE: eval_nll,
    }


def save(model: OneStep, directory: str) -> None:
    """Write the SavedModel with all signatures."""
    tf.saved_model.save(model, directory, signatures=build(model))
