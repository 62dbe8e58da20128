"""The reference language model equals Keras' layers, and accepts a text only if rounding explains it."""

from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import gru
from tests.gru import Gru
from tests.numeric import Noise

pytestmark = pytest.mark.integration
CHARACTERS, UNITS, FEATURES = "abcde", 4, 3


def weights(layers: int = 2, **changes: Any) -> Any:
    random = np.random.default_rng(2)
    sizes = [FEATURES, *[UNITS] * (layers - 1)]
    shapes = [[(size, 3 * UNITS), (UNITS, 3 * UNITS), (2, 3 * UNITS)] for size in sizes]
    made = {
        "embedding": random.standard_normal((len(CHARACTERS) + 1, FEATURES)),
        "layers": [[random.standard_normal(shape) for shape in layer] for layer in shapes],
        "projection": random.standard_normal((UNITS, len(CHARACTERS) + 1)),
        "projection_bias": random.standard_normal(len(CHARACTERS) + 1),
    }
    return SimpleNamespace(**{**made, **changes})


def test_logits_and_nats_equal_those_of_stock_layers() -> None:
    given, text = weights(), "abxedac"
    layers = [keras.layers.GRU(UNITS, return_sequences=True, dtype="float64") for _ in range(2)]
    model = keras.Sequential([*layers, keras.layers.Dense(len(CHARACTERS) + 1, dtype="float64")])
    ids = [CHARACTERS.find(character) % 6 for character in text]
    x = tf.constant(given.embedding[ids[:-1]][None])
    model.build(x.shape)
    model.set_weights([*given.layers[0], *given.layers[1], given.projection, given.projection_bias])
    expected = model(x)[0].numpy()

    read = Gru(given, CHARACTERS)
    np.testing.assert_allclose([read.read(character)[0] for character in text[:-1]], expected, rtol=1e-10)
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(ids[1:], expected).numpy()
    nats += np.log(0x110000 - 5) * (np.array(ids[1:]) == 5)
    np.testing.assert_allclose(Gru(given, CHARACTERS).nll(text)[0], nats, rtol=1e-10)
    assert Gru(given, CHARACTERS).nll_sum(text)[0] == pytest.approx(nats.sum(), rel=1e-10)


@pytest.mark.parametrize(("temperature", "top_k"), [(0.0, 0), (1.0, 1), (0.7, 3), (2.0, 0)])
def test_every_other_character_fails(temperature: float, top_k: int) -> None:
    text, model, last = "", Gru(weights(), CHARACTERS, Noise(samples=0)), "b"
    model.read("a")
    for uniform in gru.uniforms(9, 9):
        (last,) = model.choices(model.read(last), uniform, temperature, top_k)
        text += last
    how = ("ab", temperature, top_k, 9)
    gru.assert_generated(text, weights(), CHARACTERS, *how)
    for place in (0, 4, 8):
        for other in set(CHARACTERS) - {text[place]}:
            wrong = text[:place] + other + text[place + 1 :]
            with pytest.raises(AssertionError, match=f"character {place} after .*: '{other}' instead of"):
                gru.assert_generated(wrong, weights(), CHARACTERS, *how)
            with pytest.raises(AssertionError, match=f"character {place} after"):
                gru.assert_same_text(text, wrong, weights(), CHARACTERS, *how)


def test_either_character_passes_where_rounding_decides() -> None:
    bias = np.array([0.1, 3.0, 3.0 * (1 + 2.0**-24), 0.2, 0.3, 9.0])  # two values that float32 hardly distinguishes
    tie = weights(projection=np.zeros((UNITS, 6)), projection_bias=bias)
    for text in ("bcb", "ccb"):
        gru.assert_generated(text, tie, CHARACTERS, "", 0.0, 0, 1)
    with pytest.raises(AssertionError, match="'d' instead of"):
        gru.assert_generated("bdb", tie, CHARACTERS, "", 0.0, 0, 1)
