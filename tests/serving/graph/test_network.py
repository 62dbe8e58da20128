from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.graph.cells import KINDS
from serving.graph.network import Network, Weights, arrange
from tests import numeric, reference
from transform.vocabulary import Vocabulary

pytestmark = pytest.mark.integration
FEATURES, UNITS = 4, 5


def random_weights(cell: str, vocab: int) -> Weights:
    random, kind = np.random.default_rng(6), KINDS[cell]

    def normal(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) * 0.5).astype(np.float32)

    layers = [
        (normal(size, kind.gates * UNITS), normal(UNITS, kind.gates * UNITS), normal(*kind.bias_shape(UNITS)))
        for size in (FEATURES, UNITS)
    ]
    return Weights(normal(vocab, FEATURES), layers, normal(UNITS, vocab), normal(vocab), cell)


@pytest.mark.numeric
@pytest.mark.parametrize("cell", list(KINDS))
def test_example_of_a_text_step_by_step(cell: str) -> None:
    """The states after the last character are those of the float64 reference."""
    vocabulary = Vocabulary(tuple(map(ord, "abc")))
    weights = random_weights(cell, vocabulary.size)
    network = Network(weights, vocabulary)
    ids, lengths = network.encode(tf.constant(["cab?"]))
    assert (ids.numpy().tolist(), lengths.numpy().tolist()) == ([[2, 0, 1, vocabulary.out_of_vocabulary]], [4])
    states = network.zero_state(1)
    for t in range(4):
        states = network.step(network.table, ids[:, t], states)

    noise, expected = reference.Noise(), []
    x, by_id = noise.given(weights.embedding), ids.numpy().T
    for layer in weights.layers:
        zeros = [noise.given(np.zeros((1, UNITS))) for _ in range(KINDS[cell].states)]
        x, last = reference.layer(noise, cell, x, zeros, [noise.given(weight) for weight in layer], ids=by_id)
        by_id, expected = None, [*expected, *last]
    for state, runs in zip(states, expected, strict=True):
        numeric.close(state, runs, "state")
    np.testing.assert_array_equal(network.output(states), states[-KINDS[cell].states])


def test_texts_are_padded_to_at_least_two_columns() -> None:
    network = Network(random_weights("rnn", 4), Vocabulary(tuple(map(ord, "abc"))))
    ids, lengths = network.encode(tf.constant(["", "b"]))
    assert (ids.numpy().tolist(), lengths.numpy().tolist()) == ([[0, 0], [1, 0]], [0, 1])


def test_texts_are_normalized_like_the_corpus_also_after_loading(tmp_path: Path) -> None:
    vocabulary = Vocabulary(tuple(map(ord, "s\u00e9 ")), "nfc", True)
    network = Network(random_weights("rnn", 4), vocabulary)
    run = tf.function(network.encode, input_signature=(tf.TensorSpec([None], tf.string, "text"),), autograph=False)
    network.run = tf.function(lambda text: dict(zip(("ids", "lengths"), run(text))), run.input_signature)
    tf.saved_model.save(network, str(tmp_path), signatures={"run": network.run})
    found = tf.saved_model.load(str(tmp_path)).signatures["run"](tf.constant(["E\u0301 \u1e9eS", "\u00e9", "x", ""]))
    assert found["lengths"].numpy().tolist() == [5, 1, 1, 0]
    assert found["ids"].numpy().tolist() == [[1, 2, 0, 0, 0], [1, 0, 0, 0, 0], [3, 0, 0, 0, 0], [0] * 5]


def test_bound_is_of_normalized_texts() -> None:
    network = Network(random_weights("rnn", 4), Vocabulary(tuple(map(ord, "abc")), "nfc"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="too many"):
        network.encode(tf.constant(["\u0958" * 10]), 10, "too many")  # 20 characters


# arrange


def matrices(*shapes: tuple[int, ...]) -> list[Any]:
    return [np.full(shape, i, np.float32) for i, shape in enumerate(shapes)]


def test_variables_get_names() -> None:
    embedding, kernel, recurrent_kernel, bias, projection, projection_bias = variables = matrices(
        (3, 2), (2, 4), (4, 4), (4,), (4, 3), (3,)
    )
    arranged = arrange(variables, "rnn", tied=False)
    assert arranged.embedding is embedding
    assert arranged.layers == [(kernel, recurrent_kernel, bias)]
    assert arranged.projection is projection
    assert arranged.projection_bias is projection_bias


def test_tied_projection_is_the_transposed_embedding() -> None:
    variables = matrices((3, 4), (4, 4), (4, 4), (4,), (4, 4), (4, 4), (4,), (3,))
    arranged = arrange(variables, "rnn", tied=True)
    np.testing.assert_array_equal(arranged.projection, variables[0].T)
    assert [len(layer) for layer in arranged.layers] == [3, 3]


def test_incomplete_layer_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        arrange(matrices((3, 2), (2, 4), (4, 4), (4, 3), (3,)), "rnn", tied=False)
