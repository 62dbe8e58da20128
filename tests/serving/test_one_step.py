"""The exported graph against an independent NumPy implementation of the same model."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving import signatures
from serving.one_step import Defaults, OneStep, Weights
from transform.vocabulary import UNICODE_SIZE, Vocabulary

pytestmark = pytest.mark.integration

CHARACTERS = " etaé\n\U0001d11eT"
UNITS = 6
YARDSTICK = 1.75
MASK = 2**64 - 1

Array = NDArray[np.float64]


def random_weights(layers: int, vocabulary: int = len(CHARACTERS) + 1) -> Weights:
    random = np.random.default_rng(layers)

    def normal(*shape: int) -> NDArray[np.float32]:
        return np.asarray(random.standard_normal(shape), np.float32)

    return Weights(
        embedding=normal(vocabulary, 4),
        layers=[
            (normal(4 if layer == 0 else UNITS, 3 * UNITS), normal(UNITS, 3 * UNITS), normal(2, 3 * UNITS))
            for layer in range(layers)
        ],
        projection=normal(UNITS, vocabulary),
        projection_bias=normal(vocabulary),
    )


def one_step(weights: Weights, characters: str = CHARACTERS) -> OneStep:
    vocabulary = Vocabulary(tuple(map(ord, characters)))
    return OneStep(weights, vocabulary, Defaults(num_chars=5, temperature=0.8, top_k=0, max_chars=20_000), YARDSTICK)


@functools.cache
def signature(layers: int, name: str) -> Callable[..., dict[str, tf.Tensor]]:
    functions: dict[str, Callable[..., dict[str, tf.Tensor]]] = signatures.build(one_step(random_weights(layers)))
    return functions[name]


@pytest.fixture(scope="module", autouse=True)
def _let_go_of_graphs() -> Iterator[None]:
    yield
    signature.cache_clear()  # TensorFlow complains when they live until the interpreter ends


def controls(
    rows: int, num_chars: Any = 20, temperature: Any = 1.0, top_k: Any = 0, seed: Any = 7
) -> dict[str, tf.Tensor]:
    def fill(value: Any, dtype: tf.DType) -> tf.Tensor:
        return tf.constant(np.broadcast_to(value, (rows,)), dtype)

    return {
        "num_chars": fill(num_chars, tf.int32),
        "temperature": fill(temperature, tf.float32),
        "top_k": fill(top_k, tf.int32),
        "seed": fill(seed, tf.int64),
    }


def generate(layers: int, prompts: list[str], **settings: Any) -> list[str]:
    made = signature(layers, "generate")(prompt=tf.constant(prompts), **controls(len(prompts), **settings))
    return [text.decode() for text in made["text"].numpy()]


def state_size(layers: int) -> int:
    return layers * UNITS + 2


def go_on(layers: int, prompt: str, state: NDArray[np.float32], **settings: Any) -> tuple[str, NDArray[np.float32]]:
    made = signature(layers, "generate_from_state")(
        prompt=tf.constant([prompt]), state=tf.constant(state), **controls(1, **settings)
    )
    return made["text"].numpy()[0].decode(), made["state"].numpy()


def fresh(layers: int) -> NDArray[np.float32]:
    return np.zeros((1, state_size(layers)), np.float32)


def score(layers: int, texts: list[str]) -> dict[str, NDArray[Any]]:
    return {name: value.numpy() for name, value in signature(layers, "score")(text=tf.constant(texts)).items()}


# The reference: Keras' GRU (reset_after), one character at a time, in float64.


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


class Reference:
    def __init__(self, layers: int, characters: str = CHARACTERS) -> None:
        self.weights, self.characters = random_weights(layers, len(characters) + 1), characters
        self.hidden = [np.zeros(UNITS) for _ in range(layers)]

    def read(self, character: str) -> Array:
        """Logits of what comes next."""
        place = self.characters.find(character)
        x: Array = self.weights.embedding[place].astype(np.float64)  # -1 is the last row, for what is unknown
        for layer, (kernel, recurrent_kernel, bias) in enumerate(self.weights.layers):
            h = self.hidden[layer]
            given, recurrent = x @ kernel + bias[0], h @ recurrent_kernel + bias[1]
            update = sigmoid(given[:UNITS] + recurrent[:UNITS])
            reset = sigmoid(given[UNITS : 2 * UNITS] + recurrent[UNITS : 2 * UNITS])
            candidate = np.tanh(given[2 * UNITS :] + reset * recurrent[2 * UNITS :])
            x = self.hidden[layer] = update * h + (1 - update) * candidate
        return np.asarray(x @ self.weights.projection + self.weights.projection_bias)

    def nll(self, text: str) -> list[float]:
        """Nats of every character but the first."""
        nats = []
        for before, character in zip(text, text[1:]):
            logits = self.read(before)
            place = self.characters.find(character)
            extra = math.log(UNICODE_SIZE - len(self.characters)) if place < 0 else 0.0
            nats.append(math.log(np.exp(logits - logits[place]).sum()) + extra)
        return nats

    def write(self, prompt: str, num_chars: int, temperature: float, top_k: int, seed: int) -> str:
        for character in prompt[:-1]:
            self.read(character)
        last, text = prompt[-1:] or "\n", ""
        for uniform in uniforms(seed, num_chars):
            logits = self.read(last)[:-1]
            # Among the most likely the order is by likelihood, among all it is that of the vocabulary.
            order = np.argsort(-logits)[:top_k] if top_k else np.arange(len(logits))
            powers = np.exp((logits[order] - logits.max()) / temperature)
            last = self.characters[order[int((powers.cumsum() <= uniform * powers.sum()).sum())]]
            text += last
        return text


def uniforms(seed: int, count: int) -> list[float]:
    """SplitMix64 in plain integers."""

    def mixed(z: int) -> int:
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    gamma = 0x9E3779B97F4A7C15
    start = mixed((seed + gamma) & MASK)
    return [(mixed((start + i * gamma) & MASK) >> 40) / 2**24 for i in range(1, count + 1)]


known_text = st.text(st.sampled_from(CHARACTERS), max_size=12)
any_text = st.text(st.sampled_from(CHARACTERS + "xü\U0001f600"), max_size=12)
both = pytest.mark.parametrize("layers", [1, 2])


# score and eval_nll


@both
@settings(deadline=None, max_examples=40)
@given(texts=st.lists(any_text, min_size=1, max_size=4))
def test_scores_are_those_of_the_reference(layers: int, texts: list[str]) -> None:
    actual = score(layers, texts)
    longest = max([2, *map(len, texts)])
    assert actual["nll"].shape == (len(texts), longest - 1)
    for row, text in enumerate(texts):
        expected = Reference(layers).nll(text)
        assert actual["num_chars"][row] == len(expected)
        np.testing.assert_allclose(actual["nll"][row, : len(expected)], expected, rtol=2e-4, atol=2e-5)
        assert not actual["nll"][row, len(expected) :].any()
        np.testing.assert_allclose(actual["nll_sum"][row], sum(expected), rtol=2e-4, atol=2e-5)


def test_a_character_without_an_id_of_its_own_costs_the_choice_among_all_others() -> None:
    weights = random_weights(1)
    certain = np.full_like(weights.projection_bias, -1e4)
    certain[-1] = 1e4  # surely something unknown
    sure = dataclasses.replace(weights, projection=np.zeros_like(weights.projection), projection_bias=certain)
    nats = one_step(sure).score(tf.constant(["eü"]))["nll_sum"].numpy()
    np.testing.assert_allclose(nats, [math.log(0x110000 - len(CHARACTERS))], rtol=1e-6)


@both
def test_the_evaluators_sums_are_those_of_score(layers: int) -> None:
    texts = ["tea\nat Té", "", "e", "xet ate\U0001f600", "x"]

    def example(text: str) -> bytes:
        feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode()]))
        made = tf.train.Example(features=tf.train.Features(feature={"text": feature}))
        return bytes(made.SerializeToString())

    sums = signature(layers, "eval_nll")(examples=tf.constant([example(text) for text in texts]))
    assert {value.dtype for value in sums.values()} == {tf.float32}
    scored = score(layers, texts)
    np.testing.assert_array_equal(sums["nll_sum"], scored["nll_sum"])
    np.testing.assert_array_equal(sums["num_chars"], [8, 0, 0, 7, 0])
    np.testing.assert_array_equal(sums["num_unknown"], [0, 0, 0, 1, 0])  # a first character is no target
    np.testing.assert_allclose(sums["yardstick_nll_sum"], np.array([8, 0, 0, 7, 0]) * YARDSTICK)


# generate


@both
@settings(deadline=None, max_examples=40)
@given(
    prompt=any_text,
    temperature=st.sampled_from([0.3, 1.0, 3.0]),
    top_k=st.integers(0, 4),
    seed=st.integers(-(2**63), 2**63 - 1),
)
def test_texts_are_those_of_the_reference(layers: int, prompt: str, temperature: float, top_k: int, seed: int) -> None:
    expected = Reference(layers).write(prompt, 12, temperature, top_k, seed)
    actual = generate(layers, [prompt], num_chars=12, temperature=temperature, top_k=top_k, seed=seed)
    assert actual == [expected]


@both
def test_temperature_0_and_top_1_write_the_most_likely_text_whatever_the_seed(layers: int) -> None:
    expected = Reference(layers).write("T", 30, 1e-3, 1, 0)
    for settings_ in ({"temperature": 0.0}, {"top_k": 1}, {"temperature": 0.0, "top_k": 3}):
        assert generate(layers, ["T"] * 3, num_chars=30, seed=[1, 2, 3], **settings_) == [expected] * 3


def test_different_seeds_write_different_texts() -> None:
    texts = generate(1, ["T"] * 50, num_chars=20, seed=list(range(50)))
    assert len(set(texts)) == 50


@both
@settings(deadline=None, max_examples=25)
@given(
    rows=st.lists(
        st.tuples(
            any_text,
            st.integers(0, 15),
            st.sampled_from([0.0, 0.5, 1.0, 2.0]),
            st.integers(0, 4),
            st.integers(-(2**63), 2**63 - 1),
        ),
        min_size=2,
        max_size=5,
    )
)
def test_a_rows_text_is_the_same_alone_and_among_others(
    layers: int, rows: list[tuple[str, int, float, int, int]]
) -> None:
    prompts, counts, temperatures, top_ks, seeds = map(list, zip(*rows))
    together = generate(
        layers, prompts, num_chars=counts, temperature=temperatures, top_k=top_ks, seed=np.array(seeds, np.int64)
    )
    alone = [
        generate(layers, [prompt], num_chars=count, temperature=temperature, top_k=top_k, seed=seed)[0]
        for prompt, count, temperature, top_k, seed in rows
    ]
    assert together == alone
    assert list(map(len, together)) == counts


def test_an_empty_prompt_begins_as_after_the_end_of_a_line() -> None:
    assert generate(1, [""], num_chars=40) == generate(1, ["\n"], num_chars=40)


def test_without_lines_in_the_corpus_an_empty_prompt_begins_as_after_the_most_frequent_character() -> None:
    model = one_step(random_weights(1, 4), "eta")
    texts, _ = model.generate_from_state(
        tf.constant(["", "e"]), tf.zeros((2, state_size(1))), **controls(2, num_chars=40)
    )
    assert texts[0] == texts[1]


def test_a_character_without_an_id_is_read_but_never_written() -> None:
    weights = random_weights(1)
    tempting = weights.projection_bias.copy()
    tempting[-1] = 1e4
    model = one_step(dataclasses.replace(weights, projection_bias=tempting))
    texts, _ = model.generate_from_state(
        tf.constant(["xü", "\U0001f600", ""]),
        tf.zeros((3, state_size(1))),
        **controls(3, num_chars=100, temperature=[0.0, 1.0, 100.0], top_k=[0, 3, 0]),
    )
    for text in texts.numpy():
        assert len(text.decode()) == 100
        assert set(text.decode()) <= set(CHARACTERS)


def test_bytes_that_are_no_text_are_read_as_an_unknown_character() -> None:
    wrong, unknown = b"T\xff", b"Tx"
    made = signature(1, "generate")(prompt=tf.constant([wrong, unknown]), **controls(2))
    assert made["text"][0] == made["text"][1]


@both
def test_a_prompt_of_ten_thousand_characters_is_read_to_its_end(layers: int) -> None:
    prompt = "".join(np.random.default_rng(0).choice(list(CHARACTERS), 10_000))
    expected = Reference(layers).write(prompt, 10, 1.0, 0, 3)
    assert generate(layers, [prompt, "T"], num_chars=10, seed=3)[0] == expected


def test_no_characters_give_no_text_and_no_rows_give_no_rows() -> None:
    assert generate(1, ["T", ""], num_chars=0) == ["", ""]
    assert generate(1, ["T", ""], num_chars=[0, 3])[0] == ""
    nothing = signature(1, "generate")(prompt=tf.constant([], tf.string), **controls(0))
    assert nothing["text"].shape == (0,)
    assert signature(1, "score")(text=tf.constant([], tf.string))["nll_sum"].shape == (0,)


# generate_from_state


@both
@settings(deadline=None, max_examples=25)
@given(prompt=any_text, chunks=st.lists(st.integers(0, 9), min_size=1, max_size=4), top_k=st.integers(0, 3))
def test_text_in_chunks_is_the_text_in_one(layers: int, prompt: str, chunks: list[int], top_k: int) -> None:
    whole, at_the_end = go_on(layers, prompt, fresh(layers), num_chars=sum(chunks), top_k=top_k)
    assert [whole] == generate(layers, [prompt], num_chars=sum(chunks), top_k=top_k)
    pieces, state = "", fresh(layers)
    for count in chunks:
        piece, state = go_on(layers, prompt, state, num_chars=count, top_k=top_k)
        pieces, prompt = pieces + piece, ""
    assert pieces == whole
    np.testing.assert_allclose(state, at_the_end, atol=1e-6)


@both
def test_a_prompt_in_pieces_is_the_prompt_in_one(layers: int) -> None:
    _, state = go_on(layers, "tea ", fresh(layers), num_chars=0)
    _, state = go_on(layers, "a", state, num_chars=0)
    text, _ = go_on(layers, "t Té", state, num_chars=30)
    assert [text] == generate(layers, ["tea at Té"], num_chars=30)


@both
def test_a_prompt_after_a_text_goes_on_from_that_text(layers: int) -> None:
    first, state = go_on(layers, "T", fresh(layers), num_chars=4, temperature=0.0)
    second, _ = go_on(layers, "é!", state, num_chars=20, temperature=0.0)
    assert [second] == generate(layers, [f"T{first}é!"], num_chars=20, temperature=0.0)


def test_a_state_counts_its_draws_and_starts_anew_before_float32_cannot_count_further() -> None:
    _, state = go_on(1, "T", fresh(1), num_chars=11)
    assert state[0, -1] == 11
    state[0, -1] = 2**24 - 3
    _, state = go_on(1, "", state, num_chars=5)
    assert state[0, -1] == 2


def test_a_state_that_is_made_up_gives_some_text() -> None:
    text, state = go_on(1, "", np.full((1, state_size(1)), 1e6, np.float32), num_chars=7)
    assert len(text) == 7
    assert np.isfinite(state).all()


# Checks


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_chars", -1),
        ("num_chars", 20_001),
        ("temperature", -0.1),
        ("temperature", 100.5),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("top_k", -1),
    ],
)
def test_a_parameter_out_of_its_range_is_refused_by_name_even_in_one_row_of_many(name: str, value: float) -> None:
    good = {"num_chars": 3, "temperature": 1.0, "top_k": 2}
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"{name} must be"):
        generate(1, ["T"] * 3, **{**good, name: [good[name], value, good[name]]})


@pytest.mark.parametrize(("name", "value"), [("num_chars", 20_000), ("temperature", 100.0), ("top_k", 10**6)])
def test_a_parameter_at_the_end_of_its_range_is_accepted(name: str, value: float) -> None:
    settings_ = {"num_chars": 3, name: value}
    assert len(generate(1, ["T"], **settings_)[0]) == settings_["num_chars"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_state_that_is_not_finite_is_refused_by_name(value: float) -> None:
    state = fresh(1)
    state[0, 2] = value
    with pytest.raises(tf.errors.InvalidArgumentError, match="state must be"):
        go_on(1, "T", state, num_chars=3)
