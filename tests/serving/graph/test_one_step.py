"""The exported graph against an independent NumPy implementation of the same model."""

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.graph import signatures
from serving.graph.controls import WINDOW
from serving.graph.one_step import Defaults, OneStep, Weights
from tests import gru, numeric
from tests.gru import Gru
from transform.vocabulary import Vocabulary

pytestmark = pytest.mark.integration

CHARACTERS = " etaé\n\U0001d11eT"
UNITS = 6


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
    return OneStep(weights, vocabulary, Defaults(num_chars=5, temperature=0.8, top_k=0, max_chars=20_000))


@functools.cache
def signature(layers: int, name: str) -> Callable[..., dict[str, tf.Tensor]]:
    functions: dict[str, Callable[..., dict[str, tf.Tensor]]] = signatures.build(one_step(random_weights(layers)))
    return functions[name]


@pytest.fixture(scope="module", autouse=True)
def _let_go_of_graphs(without_graph_optimizer: None) -> Iterator[None]:
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


def continue_from(
    layers: int, prompt: str, state: NDArray[np.float32], **settings: Any
) -> tuple[str, NDArray[np.float32]]:
    made = signature(layers, "generate_from_state")(
        prompt=tf.constant([prompt]), state=tf.constant(state), **controls(1, **settings)
    )
    return made["text"].numpy()[0].decode(), made["state"].numpy()


def fresh(layers: int) -> NDArray[np.float32]:
    return np.zeros((1, state_size(layers)), np.float32)


def score(layers: int, texts: list[str]) -> dict[str, NDArray[Any]]:
    return {name: value.numpy() for name, value in signature(layers, "score")(text=tf.constant(texts)).items()}


def reference(layers: int) -> Gru:
    return Gru(random_weights(layers), CHARACTERS)


def assert_generated(text: str, layers: int, prompt: str, temperature: float, top_k: int, seed: int) -> None:
    gru.assert_generated(text, random_weights(layers), CHARACTERS, prompt, temperature, top_k, seed)


def assert_same_text(one: str, other: str, layers: int, *how: Any) -> None:
    gru.assert_same_text(one, other, random_weights(layers), CHARACTERS, *how)


known_text = st.text(st.sampled_from(CHARACTERS), max_size=12)
any_text = st.text(st.sampled_from(CHARACTERS + "xü\U0001f600"), max_size=12)
both = pytest.mark.parametrize("layers", [1, 2])


# score and eval_nll


@pytest.mark.numeric
@both
@settings(max_examples=40)
@given(texts=st.lists(any_text, min_size=1, max_size=4))
def test_scores_are_those_of_the_reference(layers: int, texts: list[str]) -> None:
    actual = score(layers, texts)
    longest = max([2, *map(len, texts)])
    assert actual["nll"].shape == (len(texts), longest - 1)
    for row, text in enumerate(texts):
        predicted = max(0, len(text) - 1)
        assert actual["num_chars"][row] == predicted
        numeric.close(actual["nll"][row, :predicted], reference(layers).nll(text), text)
        assert not actual["nll"][row, predicted:].any()
        numeric.close(actual["nll_sum"][row], reference(layers).nll_sum(text), text)


@pytest.mark.numeric
def test_out_of_vocabulary_character_costs_the_choice_among_all_others() -> None:
    weights = random_weights(1)
    certain = np.full_like(weights.projection_bias, -1e4)
    certain[-1] = 1e4  # surely something unknown
    sure = dataclasses.replace(weights, projection=np.zeros_like(weights.projection), projection_bias=certain)
    nats = one_step(sure).score(tf.constant(["eü"]))["nll_sum"].numpy()
    assert nats == pytest.approx(math.log(0x110000 - len(CHARACTERS)), rel=numeric.relative(4))


def example(text: str) -> bytes:
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode()]))
    return bytes(tf.train.Example(features=tf.train.Features(feature={"text": feature})).SerializeToString())


@both
def test_sums_for_the_evaluator_are_those_of_score(layers: int) -> None:
    texts = ["tea\nat Té", "", "e", "xet ate\U0001f600", "x"]
    sums = signature(layers, "eval_nll")(examples=tf.constant([example(text) for text in texts]))
    assert {value.dtype for value in sums.values()} == {tf.float32}
    scored = score(layers, texts)
    np.testing.assert_array_equal(sums["nll_sum"], scored["nll_sum"])
    np.testing.assert_array_equal(sums["nll"], scored["nll"])
    np.testing.assert_array_equal(sums["num_chars"], [8, 0, 0, 7, 0])
    np.testing.assert_array_equal(sums["num_unknown"], [0, 0, 0, 1, 0])  # a first character is no target


@pytest.mark.numeric
@pytest.mark.parametrize("length", [64, 65, 66, 130])  # cross-entropies are computed for 64 steps at a time
def test_scores_of_long_texts_are_those_of_the_reference(length: int) -> None:
    texts = [(CHARACTERS * length)[:length], (CHARACTERS[::-1] * 65)[:65]]
    actual = score(2, texts)
    for row, text in enumerate(texts):
        numeric.close(actual["nll"][row, : len(text) - 1], reference(2).nll(text), text)
        assert not actual["nll"][row, len(text) - 1 :].any()


def bounded() -> OneStep:
    defaults = Defaults(num_chars=5, temperature=0.8, top_k=0, max_chars=50, max_score_chars=100, max_batch_chars=90)
    return OneStep(random_weights(1), Vocabulary(tuple(map(ord, CHARACTERS))), defaults)


@pytest.mark.parametrize("rows", [["é" * 100], ["e" * 25, "", "", "t"], []])
def test_texts_up_to_the_bound_are_scored(rows: list[str]) -> None:
    assert bounded().score(tf.constant(rows, tf.string))["nll_sum"].shape == len(rows)


@pytest.mark.parametrize("rows", [["é" * 101], ["e" * 26, "", "", "t"]])
def test_texts_above_the_bound_are_refused_in_words(rows: list[str]) -> None:
    model = bounded()
    assert model.limits.max_score_chars == 100
    with pytest.raises(tf.errors.InvalidArgumentError, match="score takes at most 100 characters: number of texts"):
        model.score(tf.constant(rows))


@pytest.mark.parametrize(
    ("prompts", "num_chars", "words"),
    [
        (["é" * 90], 50, ""),
        (["e" * 45, ""], 45, ""),
        (["é" * 91], 1, "prompts have at most 90 characters: number of prompts times length of the longest"),
        (["e" * 31, "", ""], 1, "prompts have at most 90 characters"),
        (
            [""] * 3,
            [31, 0, 0],
            "a request generates at most 90 characters: number of rows times the greatest num_chars",
        ),
        ([""] * 92, 0, ""),
        ([""] * 93, 0, "a request takes at most 92 rows"),
    ],
)
def test_generation_of_all_rows_is_bounded(prompts: list[str], num_chars: Any, words: str) -> None:
    model = bounded()
    model.max_rows = 92
    assert model.limits.max_batch_chars == 90
    rows = len(prompts)
    inputs = tf.constant(prompts), tf.zeros((rows, model.state_size)), *controls(rows, num_chars=num_chars).values()
    if not words:
        assert model.generate_from_state(*inputs)[0].shape == rows
        return
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        model.generate_from_state(*inputs)


def test_limits_state_the_form_in_which_texts_are_read() -> None:
    model = bounded()
    assert (model.limits.normalization, model.limits.fold_case) == (None, False)
    model.vocabulary = dataclasses.replace(model.vocabulary, normalization="nfc", fold_case=True)
    assert (model.limits.normalization, model.limits.fold_case) == ("nfc", True)


def test_one_row_may_have_max_chars_whatever_the_bound_of_all_rows() -> None:
    defaults = Defaults(num_chars=5, temperature=0.8, top_k=0, max_chars=30, max_batch_chars=10)
    model = OneStep(random_weights(1), Vocabulary(tuple(map(ord, CHARACTERS))), defaults)
    text, _ = model.generate_from_state(tf.constant([""]), tf.zeros((1, state_size(1))), **controls(1, num_chars=30))
    assert len(text.numpy()[0].decode()) == 30


def test_score_keeps_no_state_per_character() -> None:
    units, ids = 256, len(CHARACTERS) + 1

    def zeros(*shape: int) -> NDArray[np.float32]:
        return np.zeros(shape, np.float32)

    layer = zeros(4, 3 * units), zeros(units, 3 * units), zeros(2, 3 * units)
    run = signatures.build(one_step(Weights(zeros(ids, 4), [layer], zeros(units, ids), zeros(ids))))["score"]
    run(text=tf.constant(["e" * 200]))
    grown = peak_growth(lambda: run(text=tf.constant(["e" * 20_000])))
    assert grown < 10 * 2**20  # the states are 20 MiB


def peak_growth(run: Callable[[], Any]) -> int:
    """Bytes that the peak of this process's resident memory is above what it was before."""

    def resident(name: str) -> int:
        return 1024 * int(re.findall(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())[0])

    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = resident("VmRSS")
    run()
    return resident("VmHWM") - before


def test_examples_for_the_evaluator_are_bounded() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="eval_nll takes at most 8000000 characters"):
        signature(1, "eval_nll")(examples=tf.constant([example("e" * 8_000_001)]))


# generate


@pytest.mark.numeric
@both
@settings(max_examples=40)
@given(
    prompt=any_text,
    temperature=st.sampled_from([0.3, 1.0, 3.0]),
    top_k=st.integers(0, 4),
    seed=st.integers(-(2**63), 2**63 - 1),
)
def test_texts_are_those_of_the_reference(layers: int, prompt: str, temperature: float, top_k: int, seed: int) -> None:
    (text,) = generate(layers, [prompt], num_chars=12, temperature=temperature, top_k=top_k, seed=seed)
    assert len(text) == 12
    assert_generated(text, layers, prompt, temperature, top_k, seed)


@pytest.mark.numeric
@both
def test_temperature_0_and_top_1_give_the_most_likely_text_for_every_seed(layers: int) -> None:
    for settings_ in ({"temperature": 0.0}, {"top_k": 1}, {"temperature": 0.0, "top_k": 3}):
        for text in generate(layers, ["T"] * 3, num_chars=30, seed=[1, 2, 3], **settings_):
            assert len(text) == 30
            assert_generated(text, layers, "T", temperature=1e-3, top_k=1, seed=0)


def test_different_seeds_give_different_texts() -> None:
    texts = generate(1, ["T"] * 50, num_chars=20, seed=list(range(50)))
    assert len(set(texts)) == 50


@pytest.mark.numeric
@both
@settings(max_examples=25)
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
def test_row_has_the_same_text_alone_and_among_others(
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
    assert list(map(len, together)) == list(map(len, alone)) == counts
    for one, other, (prompt, _, *how) in zip(alone, together, rows, strict=True):
        assert_same_text(one, other, layers, prompt, *how)


def test_empty_prompt_starts_a_line() -> None:
    assert generate(1, [""], num_chars=40) == generate(1, ["\n"], num_chars=40)


def test_without_lines_in_the_corpus_an_empty_prompt_follows_the_most_frequent_character() -> None:
    model = one_step(random_weights(1, 4), "eta")
    texts, _ = model.generate_from_state(
        tf.constant(["", "e"]), tf.zeros((2, state_size(1))), **controls(2, num_chars=40)
    )
    assert texts[0] == texts[1]


def test_out_of_vocabulary_character_is_read_but_never_generated() -> None:
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


def test_invalid_utf8_is_read_as_an_unknown_character() -> None:
    wrong, unknown = b"T\xff", b"Tx"
    made = signature(1, "generate")(prompt=tf.constant([wrong, unknown]), **controls(2))
    assert made["text"][0] == made["text"][1]


@pytest.mark.numeric
@both
def test_prompt_of_ten_thousand_characters_is_read_to_its_end(layers: int) -> None:
    prompt = "".join(np.random.default_rng(0).choice(list(CHARACTERS), 10_000))
    text = generate(layers, [prompt, "T"], num_chars=10, seed=3)[0]
    assert len(text) == 10
    assert_generated(text, layers, prompt, temperature=1.0, top_k=0, seed=3)


def test_zero_characters_give_no_text_and_zero_rows_give_no_rows() -> None:
    assert generate(1, ["T", ""], num_chars=0) == ["", ""]
    assert generate(1, ["T", ""], num_chars=[0, 3])[0] == ""
    nothing = signature(1, "generate")(prompt=tf.constant([], tf.string), **controls(0))
    assert nothing["text"].shape == (0,)
    assert signature(1, "score")(text=tf.constant([], tf.string))["nll_sum"].shape == (0,)


# generate_from_state


@pytest.mark.numeric
@both
@settings(max_examples=25)
@given(prompt=any_text, chunks=st.lists(st.integers(0, 9), min_size=1, max_size=4), top_k=st.integers(0, 3))
def test_text_in_chunks_equals_the_text_in_one(layers: int, prompt: str, chunks: list[int], top_k: int) -> None:
    whole, _ = continue_from(layers, prompt, fresh(layers), num_chars=sum(chunks), top_k=top_k)
    how = (layers, prompt, 1.0, top_k, 7)
    assert_same_text(whole, generate(layers, [prompt], num_chars=sum(chunks), top_k=top_k)[0], *how)
    pieces, state, rest = "", fresh(layers), prompt
    for count in chunks:
        piece, state = continue_from(layers, rest, state, num_chars=count, top_k=top_k)
        pieces, rest = pieces + piece, ""
    assert_same_text(pieces, whole, *how)
    model = reference(layers)
    for character in ((prompt or "\n") + pieces)[:-1]:  # the last one is read when the text continues
        model.read(character)
    numeric.close(state[0, : layers * UNITS], np.concatenate([h[:, 0] for h in model.hidden], 1))


@pytest.mark.numeric
@both
def test_prompt_in_pieces_equals_the_prompt_in_one(layers: int) -> None:
    _, state = continue_from(layers, "tea ", fresh(layers), num_chars=0)
    _, state = continue_from(layers, "a", state, num_chars=0)
    text, _ = continue_from(layers, "t Té", state, num_chars=30)
    assert_same_text(text, generate(layers, ["tea at Té"], num_chars=30)[0], layers, "tea at Té", 1.0, 0, 7)


@pytest.mark.numeric
@both
def test_prompt_after_a_text_continues_it(layers: int) -> None:
    first, state = continue_from(layers, "T", fresh(layers), num_chars=4, temperature=0.0)
    second, _ = continue_from(layers, "é!", state, num_chars=20, temperature=0.0)
    prompt = f"T{first}é!"
    whole = generate(layers, [prompt], num_chars=20, temperature=0.0)[0]
    assert_same_text(second, whole, layers, prompt, 0.0, 0, 7)


@pytest.mark.numeric
@both
def test_row_continues_from_its_own_state_in_a_batch_of_different_lengths(layers: int) -> None:
    prompts, counts, seeds = ["T", "", "te a", "é"], [3, 11, 0, 7], [1, 2, 3, 4]
    states = tf.constant(np.repeat(fresh(layers), len(prompts), 0))
    made = signature(layers, "generate_from_state")(
        prompt=tf.constant(prompts), state=states, **controls(len(prompts), num_chars=counts, seed=seeds)
    )
    for row, (prompt, count, seed) in enumerate(zip(prompts, counts, seeds, strict=True)):
        begun = made["text"].numpy()[row].decode()
        rest, _ = continue_from(layers, "", made["state"].numpy()[row : row + 1], num_chars=20, seed=seed)
        whole = generate(layers, [prompt], num_chars=count + 20, seed=seed)[0]
        assert_same_text(begun + rest, whole, layers, prompt, 1.0, 0, seed)


def test_state_counts_its_samples_and_wraps_before_float32_loses_exactness() -> None:
    _, state = continue_from(1, "T", fresh(1), num_chars=11)
    assert state[0, -1] == 11
    state[0, -1] = 2**24 - 3
    _, state = continue_from(1, "", state, num_chars=5)
    assert state[0, -1] == 2


def test_arbitrary_state_gives_some_text() -> None:
    text, state = continue_from(1, "", np.full((1, state_size(1)), 1e6, np.float32), num_chars=7)
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
def test_parameter_out_of_range_in_one_row_is_rejected_by_name(name: str, value: float) -> None:
    good = {"num_chars": 3, "temperature": 1.0, "top_k": 2}
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"{name} must be"):
        generate(1, ["T"] * 3, **{**good, name: [good[name], value, good[name]]})


@pytest.mark.parametrize(("name", "value"), [("num_chars", 20_000), ("temperature", 100.0), ("top_k", 10**6)])
def test_parameter_at_the_end_of_its_range_is_accepted(name: str, value: float) -> None:
    settings_ = {"num_chars": 3, name: value}
    assert len(generate(1, ["T"], **settings_)[0]) == settings_["num_chars"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_state_that_is_not_finite_is_rejected_by_name(value: float) -> None:
    state = fresh(1)
    state[0, 2] = value
    with pytest.raises(tf.errors.InvalidArgumentError, match="state must be"):
        continue_from(1, "T", state, num_chars=3)


@pytest.mark.parametrize("bound", [0.7, 150.0])
def test_export_enforces_and_states_its_own_max_temperature(bound: float) -> None:
    defaults = Defaults(num_chars=5, temperature=0.5, top_k=0, max_chars=20_000, max_temperature=bound)
    model = OneStep(random_weights(1), Vocabulary(tuple(map(ord, CHARACTERS))), defaults)
    assert model.limits.max_temperature == bound
    controls = [tf.constant([3]), tf.constant([bound]), tf.constant([0]), tf.constant([1], tf.int64)]
    generate = signatures.build(model)["generate"]
    (text,) = generate(tf.constant(["T"]), *controls)["text"].numpy()
    assert len(text.decode()) == 3
    controls[1] = tf.constant([bound * 1.001])
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"temperature must be from 0 to {bound:g}"):
        generate(tf.constant(["T"]), *controls)


def test_a_document_does_not_depend_on_the_one_before_it() -> None:
    run = signatures.build(one_step(random_weights(2, 6), "abc\n\x03"))
    nll = run["score"](text=tf.constant(["bab\x03ca", "\x03ca"]))["nll"].numpy()
    np.testing.assert_array_equal(nll[0, 3:], nll[1, :2])
    np.testing.assert_array_equal(run["score"](text=tf.constant(["ca"]))["nll"].numpy()[0], nll[1, 1:2])
    best = run["alternatives"](text=tf.constant(["bab\x03ca", "ca"]), top_n=tf.constant([3, 3]))[
        "probabilities"
    ].numpy()
    np.testing.assert_array_equal(best[0, 4:], best[1, :2])

    def continued(prompt: str) -> Any:
        return run["generate"](prompt=tf.constant([prompt]), **controls(1))["text"].numpy()[0]

    assert continued("bab\x03") == continued("\x03") == continued("")
    assert continued("bab\x03ca") == continued("ca")
    # The symbol that the model itself wrote, before a part of the text that is not random.
    off = {"top_p": tf.constant([1.0]), "repetition_penalty": tf.constant([1.0])}
    written = run["sample_from_state"](
        prompt=tf.constant(["b"]),
        state=tf.zeros((1, 2 * UNITS + 2 + WINDOW)),
        stop=tf.constant(["\x03"]),
        **controls(1, 1_000),
        **off,
    )
    assert written["stopped"].numpy().all()
    greedy = controls(1, temperature=0.0)
    after = run["sample_from_state"](
        prompt=tf.constant([""]), state=written["state"], stop=tf.constant([""]), **greedy, **off
    )
    plain = tf.concat([written["state"][:, : 2 * UNITS], written["state"][:, -2:]], 1)
    texts = [
        after["text"],
        run["generate_from_state"](prompt=tf.constant([""]), state=plain, **greedy)["text"],
        run["generate"](prompt=tf.constant([""]), **greedy)["text"],
    ]
    assert len({text.numpy()[0] for text in texts}) == 1
