"""Texts of `generate` against NumPy on the same weights: greedy text, frequencies, other rows, odd prompts.

The signatures are called in this process, as a server calls them; TF Serving itself is not touched.
"""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.graph import signatures
from serving.graph.one_step import Defaults, OneStep, Weights
from tests import gru
from tests.numeric import Noise
from transform.vocabulary import Vocabulary

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("without_graph_optimizer")]

CHARACTERS = "\n aeé語x"
UNITS, FEATURES, KNOWN = 8, 5, len(CHARACTERS)
SAMPLES = 10_000
# 0.1 % of the chi-squared distribution, by degrees of freedom.
CRITICAL = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47, 5: 20.52, 6: 22.46}

Array = NDArray[np.float32]


def weights() -> Weights:
    random = np.random.default_rng(11)

    def normal(*shape: int) -> Array:
        return np.asarray(random.normal(0, 0.8, shape), np.float32)

    bias = normal(KNOWN + 1)
    bias[-1] = 6.0  # unknown characters are by far the most likely ones
    layer = (normal(FEATURES, 3 * UNITS), normal(UNITS, 3 * UNITS), normal(2, 3 * UNITS))
    return Weights(normal(KNOWN + 1, FEATURES), [layer], normal(UNITS, KNOWN + 1), bias)


WEIGHTS = weights()


@pytest.fixture(scope="module")
def functions() -> dict[str, Any]:
    vocabulary = Vocabulary(tuple(map(ord, CHARACTERS)))
    return signatures.build(OneStep(WEIGHTS, vocabulary, Defaults(5, 0.8, 0, 20_000)))


def controls(rows: int, num_chars: Any, temperature: Any = 1.0, top_k: Any = 0, seed: Any = 7) -> dict[str, tf.Tensor]:
    values = {
        "num_chars": (num_chars, tf.int32),
        "temperature": (temperature, tf.float32),
        "top_k": (top_k, tf.int32),
        "seed": (seed, tf.int64),
    }
    return {name: tf.constant(np.broadcast_to(value, (rows,)), dtype) for name, (value, dtype) in values.items()}


def generate(functions: dict[str, Any], prompts: list[Any], num_chars: Any, **others: Any) -> list[str]:
    texts = functions["generate"](prompt=tf.constant(prompts), **controls(len(prompts), num_chars, **others))["text"]
    return [text.decode() for text in texts.numpy()]


def logits_after(text: str) -> NDArray[np.float64]:
    """Exact logits of the known characters after a text."""
    model = gru.Gru(WEIGHTS, CHARACTERS, Noise(samples=0))
    *_, logits = map(model.read, text)
    return np.asarray(logits[0, :KNOWN])


def assert_greedy(text: str, prompt: str, count: int) -> None:
    assert len(text) == count
    gru.assert_generated(text, WEIGHTS, CHARACTERS, prompt, 0.0, 1, 0)


@pytest.mark.numeric
@pytest.mark.parametrize("prompt", ["", "x", "語ae", "unknown ☃ at first"])
def test_near_temperature_0_and_with_top_1_the_text_is_greedy(functions: dict[str, Any], prompt: str) -> None:
    for others in ({"temperature": 0.0}, {"temperature": 1e-4}, {"top_k": 1}, {"top_k": 1, "temperature": 3.0}):
        for text in generate(functions, [prompt] * 3, 40, seed=[1, 2, 3], **others):
            assert_greedy(text, prompt, 40)


@pytest.mark.numeric
@pytest.mark.parametrize(
    ("temperature", "top_k"), [(1.0, 0), (2.5, 0), (0.5, 4), (2.0, 3), (0.7, 5), (1.0, 2), (1.3, 1000)]
)
def test_frequencies_of_characters_follow_the_softmax(
    functions: dict[str, Any], temperature: float, top_k: int
) -> None:
    logits = logits_after("xé ") / temperature
    kept = np.argsort(-logits)[: top_k or KNOWN]
    expected = np.zeros(KNOWN)
    expected[kept] = np.exp(logits[kept]) / np.exp(logits[kept]).sum() * SAMPLES
    texts = generate(functions, ["xé "] * SAMPLES, 1, temperature=temperature, top_k=top_k, seed=np.arange(SAMPLES))
    counts = np.array([texts.count(character) for character in CHARACTERS])
    assert counts.sum() == SAMPLES, "the out-of-vocabulary id is never sampled, although it is the most likely"
    assert not counts[expected == 0].any()
    possible = expected > 0
    assert expected[possible].min() > 5  # or the statistic does not follow its distribution
    assert np.sum((counts - expected)[possible] ** 2 / expected[possible]) < CRITICAL[int(possible.sum()) - 1]


@pytest.mark.numeric
def test_row_has_the_same_text_alone_and_among_fifteen_others(functions: dict[str, Any]) -> None:
    random = np.random.default_rng(5)
    prompts = ["".join(random.choice(list(CHARACTERS + "☃"), random.integers(0, 30))) for _ in range(16)]
    each = {
        "num_chars": random.integers(0, 60, 16),
        "temperature": random.choice([0.0, 0.5, 1.0, 3.0], 16),
        "top_k": random.integers(0, KNOWN + 3, 16),
        "seed": random.integers(-(2**63), 2**63 - 1, 16),
    }
    together = generate(functions, prompts, **each)
    for row, prompt in enumerate(prompts):
        how = {name: values[row] for name, values in each.items()}
        (alone,) = generate(functions, [prompt], **how)
        assert len(alone) == how["num_chars"]
        others = [how[name].item() for name in ("temperature", "top_k", "seed")]
        gru.assert_same_text(alone, together[row], WEIGHTS, CHARACTERS, prompt, *others)


@pytest.mark.parametrize("top_k", [KNOWN, KNOWN + 1, 10**6])
def test_top_k_of_the_vocabulary_size_gives_the_text_without_top_k(functions: dict[str, Any], top_k: int) -> None:
    free = generate(functions, ["x"] * 5, 60, seed=np.arange(5))
    assert generate(functions, ["x"] * 5, 60, top_k=top_k, seed=np.arange(5)) == free
    assert generate(functions, ["x"] * 5, 60, top_k=KNOWN - 1, seed=np.arange(5)) != free


@pytest.mark.numeric
@settings(max_examples=25)
@given(cuts=st.lists(st.integers(1, 119), max_size=6), prompt=st.text(CHARACTERS + "☃", max_size=8))
def test_chunks_of_any_size_give_one_text(functions: dict[str, Any], cuts: list[int], prompt: str) -> None:
    (whole,) = generate(functions, [prompt], 120, top_k=4)
    state, text = tf.zeros((1, UNITS + 2)), ""
    ends = [*sorted(set(cuts)), 120]
    for start, end in zip([0, *ends], ends):
        made = functions["generate_from_state"](
            prompt=tf.constant([prompt if start == 0 else ""]), state=state, **controls(1, end - start, top_k=4)
        )
        text, state = text + made["text"].numpy()[0].decode(), made["state"]
    assert len(text) == 120
    gru.assert_same_text(text, whole, WEIGHTS, CHARACTERS, prompt, 1.0, 4, 7)


@pytest.mark.numeric
@pytest.mark.parametrize(
    ("escaped", "unknown"),
    [
        (b"x\xed\xa0\x80", "x☃☃☃"),  # half a surrogate pair: three bytes, none of them text
        (b"\xed\xa0\xbd\xed\xb8\x80", "☃☃☃☃☃☃"),  # both halves, each on its own
        (b"\xed\xbf\xbfe", "☃☃☃e"),
    ],
)
def test_surrogate_in_a_prompt_is_read_as_unknown_characters(
    functions: dict[str, Any], escaped: bytes, unknown: str
) -> None:
    text, expected = generate(functions, [escaped, unknown], 50)
    assert text == expected
    assert set(text) <= set(CHARACTERS)
    assert_greedy(generate(functions, [escaped], 30, temperature=0.0)[0], unknown, 30)


@pytest.mark.numeric
def test_prompt_of_ten_thousand_characters_is_read_to_its_end(functions: dict[str, Any]) -> None:
    prompt = "".join(np.random.default_rng(0).choice(list(CHARACTERS), 10_000))
    assert_greedy(generate(functions, [prompt], 20, temperature=0.0)[0], prompt, 20)
