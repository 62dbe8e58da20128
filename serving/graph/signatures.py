"""The signatures of the SavedModel."""

from functools import partial
from typing import Any

import tensorflow as tf

from serving.graph.one_step import OneStep

SERVING_SIGNATURES = (
    "serving_default",
    "generate",
    "generate_from_state",
    "sample",
    "sample_from_state",
    "score",
    "alternatives",
)
EVAL_SIGNATURE = "eval_nll"


def _spec(name: str, dtype: tf.DType, *inner: int) -> tf.TensorSpec:
    return tf.TensorSpec((None, *inner), dtype, name)


def _state(width: int) -> tf.TensorSpec:
    return _spec("state", tf.float32, width)


def build(model: OneStep) -> dict[str, Any]:
    """Build the signatures by name. All inputs and outputs have a batch dimension, as TF Serving's REST API requires.

    - `serving_default(prompt)`: `generate` with the defaults and a new seed for every row and request.
    - `generate(prompt, num_chars, temperature, top_k, seed)`: the new text.
    - `generate_from_state(prompt, state, num_chars, temperature, top_k, seed)`: `text` and `state`.
    - `sample(prompt, num_chars, temperature, top_k, top_p, repetition_penalty, stop, seed)`: `text` and `stopped`.
    - `sample_from_state`, with `state` as well: `text`, `state` (wider than that of `generate_from_state`), `stopped`.
    - `score(text)`: `nll`, `nll_sum`, `num_chars`.
    - `alternatives(text, top_n)`: `characters`, `probabilities`, `num_chars`.
    - `eval_nll(examples)`: sums and `nll` for the Evaluator, from serialized `tf.Example`s.
    """
    prompt = _spec("prompt", tf.string)
    seed = _spec("seed", tf.int64)
    controls = (_spec("num_chars", tf.int32), _spec("temperature", tf.float32), _spec("top_k", tf.int32))
    more = (_spec("top_p", tf.float32), _spec("repetition_penalty", tf.float32), _spec("stop", tf.string))

    # Shared by several signatures, so that each is traced, saved and loaded once.
    read = tf.function(model.read, autograph=False)
    continued = tf.function(partial(model.generate_from_state, read=read), autograph=False)
    sampled = tf.function(partial(model.sample_from_state, read=read), autograph=False)
    nll = tf.function(model.nll, autograph=False)

    def fresh(prompt: tf.Tensor, width: int) -> tf.Tensor:
        return tf.zeros((tf.shape(model.few(prompt))[0], width))

    @tf.function(input_signature=(prompt,), autograph=False)
    def serving_default(prompt: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.shape(prompt)
        text, _ = continued(
            prompt,
            fresh(prompt, model.state_size),
            tf.fill(rows, model.defaults.num_chars),
            tf.fill(rows, model.defaults.temperature),
            tf.fill(rows, model.defaults.top_k),
            # Not `tf.random.uniform`: it would store the exporting process's global seed in the graph, and with
            # deterministic training it raises an error without such a seed.
            tf.raw_ops.RandomUniformInt(shape=rows, minval=tf.constant(0, tf.int64), maxval=tf.int64.max),
        )
        return {"text": text}

    @tf.function(input_signature=(prompt, *controls, seed), autograph=False)
    def generate(
        prompt: tf.Tensor, num_chars: tf.Tensor, temperature: tf.Tensor, top_k: tf.Tensor, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        text, _ = continued(prompt, fresh(prompt, model.state_size), num_chars, temperature, top_k, seed)
        return {"text": text}

    @tf.function(input_signature=(prompt, _state(model.state_size), *controls, seed), autograph=False)
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

    @tf.function(input_signature=(prompt, *controls, *more, seed), autograph=False)
    def sample(
        prompt: tf.Tensor,
        num_chars: tf.Tensor,
        temperature: tf.Tensor,
        top_k: tf.Tensor,
        top_p: tf.Tensor,
        repetition_penalty: tf.Tensor,
        stop: tf.Tensor,
        seed: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        state = fresh(prompt, model.sample_state_size)
        text, _, stopped = sampled(prompt, state, num_chars, temperature, top_k, top_p, repetition_penalty, stop, seed)
        return {"text": text, "stopped": stopped}

    @tf.function(input_signature=(prompt, _state(model.sample_state_size), *controls, *more, seed), autograph=False)
    def sample_from_state(
        prompt: tf.Tensor,
        state: tf.Tensor,
        num_chars: tf.Tensor,
        temperature: tf.Tensor,
        top_k: tf.Tensor,
        top_p: tf.Tensor,
        repetition_penalty: tf.Tensor,
        stop: tf.Tensor,
        seed: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        text, state, stopped = sampled(
            prompt, state, num_chars, temperature, top_k, top_p, repetition_penalty, stop, seed
        )
        return {"text": text, "state": state, "stopped": stopped}

    @tf.function(input_signature=(_spec("text", tf.string),), autograph=False)
    def score(text: tf.Tensor) -> dict[str, tf.Tensor]:
        return model.score(text, nll)

    @tf.function(input_signature=(_spec("text", tf.string), _spec("top_n", tf.int32)), autograph=False)
    def alternatives(text: tf.Tensor, top_n: tf.Tensor) -> dict[str, tf.Tensor]:
        return model.alternatives(text, top_n)

    @tf.function(input_signature=(_spec("examples", tf.string),), autograph=False)
    def eval_nll(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return model.eval_nll(examples, nll)

    return {
        "serving_default": serving_default,
        "generate": generate,
        "generate_from_state": generate_from_state,
        "sample": sample,
        "sample_from_state": sample_from_state,
        "score": score,
        "alternatives": alternatives,
        EVAL_SIGNATURE: eval_nll,
    }


def save(model: OneStep, directory: str) -> dict[str, Any]:
    """Write the SavedModel with all signatures, and return these.

    Its functions turn off TensorFlow's graph optimizer: in a server it takes a quarter of the time from the load of a
    version to the first answer of each signature, and none of them generates faster with it.
    """
    name = "disable_meta_optimizer"
    before = tf.config.optimizer.get_experimental_options().get(name, False)
    tf.config.optimizer.set_experimental_options({name: True})
    try:
        signatures = build(model)
        tf.saved_model.save(model, directory, signatures=signatures)
    finally:
        tf.config.optimizer.set_experimental_options({name: before})
    return signatures
