"""Texts of `sample` and `sample_from_state` against NumPy and against texts of `generate`; `alternatives` as well."""

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.graph import signatures
from serving.graph.cells import KINDS
from serving.graph.one_step import Defaults, OneStep, Weights
from tests import gru, numeric
from transform.vocabulary import Vocabulary

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("without_graph_optimizer")]

CHARACTERS = "\n aeé語x"
UNITS, FEATURES, KNOWN = 6, 4, len(CHARACTERS)

Functions = dict[str, Any]


def weights(cell: str, layers: int = 1) -> Weights:
    random, kind = np.random.default_rng(11), KINDS[cell]

    def normal(*shape: int) -> NDArray[np.float32]:
        return np.asarray(random.normal(0, 0.9, shape), np.float32)

    stack = [
        (
            normal(UNITS if layer else FEATURES, kind.gates * UNITS),
            normal(UNITS, kind.gates * UNITS),
            normal(*kind.bias_shape(UNITS)),
        )
        for layer in range(layers)
    ]
    return Weights(normal(KNOWN + 1, FEATURES), stack, normal(UNITS, KNOWN + 1), normal(KNOWN + 1), cell)


def built(cell: str, layers: int = 1) -> Functions:
    defaults = Defaults(5, 0.8, 0, 1_000, max_score_chars=1_500)
    return signatures.build(OneStep(weights(cell, layers), Vocabulary(tuple(map(ord, CHARACTERS))), defaults))


@pytest.fixture(scope="module")
def functions() -> Functions:
    return built("gru")


TYPES = {
    "num_chars": tf.int32,
    "temperature": tf.float32,
    "top_k": tf.int32,
    "top_p": tf.float32,
    "repetition_penalty": tf.float32,
    "seed": tf.int64,
}
OFF = {"num_chars": 60, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "repetition_penalty": 1.0, "seed": 7, "stop": ""}
PLAIN = ("num_chars", "temperature", "top_k", "seed")


def inputs(rows: int, values: dict[str, Any]) -> dict[str, tf.Tensor]:
    return {
        name: tf.constant(np.broadcast_to(value, (rows,)), TYPES[name]) if name in TYPES else stops(rows, value)
        for name, value in {**OFF, **values}.items()
    }


def stops(rows: int, value: Any) -> tf.Tensor:
    return tf.constant([value] * rows if isinstance(value, (str, bytes)) else value, tf.string)


def texts(outputs: dict[str, tf.Tensor]) -> list[str]:
    return [text.decode() for text in outputs["text"].numpy()]


def sample(functions: Functions, prompts: list[str], **values: Any) -> tuple[list[str], list[bool]]:
    outputs = functions["sample"](prompt=tf.constant(prompts, tf.string), **inputs(len(prompts), values))
    return texts(outputs), outputs["stopped"].numpy().tolist()


def generate(functions: Functions, prompts: list[str], **values: Any) -> list[str]:
    chosen = {name: value for name, value in inputs(len(prompts), values).items() if name in PLAIN}
    return texts(functions["generate"](prompt=tf.constant(prompts), **chosen))


def chunk(functions: Functions, prompt: str, state: Any, **values: Any) -> tuple[str, NDArray[np.float32], bool]:
    outputs = functions["sample_from_state"](prompt=tf.constant([prompt]), state=state, **inputs(1, values))
    return texts(outputs)[0], outputs["state"].numpy(), bool(outputs["stopped"].numpy()[0])


def fresh(cell: str = "gru") -> NDArray[np.float32]:
    return np.zeros((1, UNITS * KINDS[cell].states + 64 + 2), np.float32)


PROMPTS = ["x", "", "語ae", "unknown ☃ at first"]


@pytest.mark.parametrize("cell", KINDS)
def test_controls_that_are_off_change_nothing_and_chunks_equal_one_call(cell: str) -> None:
    functions = built(cell)
    how = {
        "num_chars": [60, 41, 0, 5],
        "temperature": [1.0, 0.0, 1.0, 2.0],
        "top_k": [0, 0, 3, 4],
        "seed": [1, 2, 3, 4],
    }
    assert sample(functions, PROMPTS, **how) == (generate(functions, PROMPTS, **how), [False] * 4)
    everything = {"top_p": 0.9, "repetition_penalty": 1.4, "top_k": 6, "seed": 5}
    (whole,), _ = sample(functions, ["語ae"], num_chars=150, **everything)
    stop = whole[110:115]
    (ended,), (stopped,) = sample(functions, ["語ae"], num_chars=150, stop=stop, **everything)
    assert stopped
    assert ended == whole[: whole.index(stop) + len(stop)]
    pieces, state, prompt = "", fresh(cell), "語ae"
    for length in (1, 2, 70, 3, 0, 1, 1, 1, 100):
        piece, state, stopped = chunk(functions, prompt, state, num_chars=length, stop=stop, **everything)
        pieces, prompt = pieces + piece, ""
        if stopped:
            break
    assert (pieces, stopped) == (ended, True)


controls = st.fixed_dictionaries(
    {
        "temperature": st.sampled_from([0.0, 0.5, 1.0, 2.0]),
        "top_k": st.integers(0, KNOWN + 1),
        "top_p": st.sampled_from([0.1, 0.5, 0.8, 0.95, 1.0]),
        "repetition_penalty": st.sampled_from([0.5, 1.0, 1.3, 10.0]),
        "seed": st.integers(-(2**63), 2**63 - 1),
    }
)
some_text = st.text(CHARACTERS + "☃", max_size=12)


def how_of(one: dict[str, Any]) -> list[Any]:
    return [one[name] for name in ("temperature", "top_k", "seed", "top_p", "repetition_penalty")]


@pytest.mark.numeric
@settings(max_examples=8)
@given(rows=st.lists(st.tuples(some_text, st.integers(0, 25), controls), min_size=2, max_size=4))
def test_texts_are_those_of_the_reference_alone_and_among_others(
    functions: Functions, rows: list[tuple[str, int, dict[str, Any]]]
) -> None:
    prompts, counts, chosen = zip(*rows)
    columns = {name: [one[name] for one in chosen] for name in chosen[0]}
    together, _ = sample(functions, list(prompts), num_chars=list(counts), **columns)
    for text, prompt, count, one in zip(together, prompts, counts, chosen):
        assert len(text) == count
        gru.assert_generated(text, weights("gru"), CHARACTERS, prompt, *how_of(one))
        (alone,), _ = sample(functions, [prompt], num_chars=count, **one)
        gru.assert_same_text(text, alone, weights("gru"), CHARACTERS, prompt, *how_of(one))


@pytest.mark.numeric
def test_penalty_covers_the_last_64_characters_prompt_included(functions: Functions) -> None:
    prompt = "x" + "aé e" * 16 + "語"
    (text,), _ = sample(functions, [prompt], num_chars=150, repetition_penalty=5.0)
    gru.assert_generated(text, weights("gru"), CHARACTERS, prompt, 1.0, 0, 7, penalty=5.0)
    assert text != generate(functions, [prompt], num_chars=150)[0]


# Stop strings


@settings(max_examples=15)
@given(
    cuts=st.lists(st.tuples(st.integers(0, 119), st.integers(0, 5)), min_size=4, max_size=4),
    ends=st.lists(st.integers(0, 120), min_size=4, max_size=4),
)
def test_each_row_ends_with_the_first_occurrence_of_its_stop_string(
    functions: Functions, cuts: list[tuple[int, int]], ends: list[int]
) -> None:
    whole = generate(functions, PROMPTS, num_chars=120)
    stop = [text[start : start + length] for text, (start, length) in zip(whole, cuts)]
    actual, stopped = sample(functions, PROMPTS, num_chars=ends, stop=stop)
    for text, row, end, chars, found in zip(actual, whole, stop, ends, stopped):
        place = row[:chars].find(end) if end else -1
        assert text == (row[:chars] if place < 0 else row[: place + len(end)])
        assert found == (place >= 0)


def test_text_after_a_stop_string_goes_on_as_without_it(functions: Functions) -> None:
    (whole,) = generate(functions, ["x"], num_chars=100)
    stop = whole[20:22]
    text, state, stopped = chunk(functions, "x", fresh(), num_chars=100, stop=stop)
    assert stopped
    assert state[0, -1] == len(text) == whole.index(stop) + 2  # a row counts the characters that it generated
    assert text + chunk(functions, "", state, num_chars=100 - len(text))[0] == whole


def test_stop_string_is_not_found_partly_in_a_prompt_nor_twice_in_the_same_characters(functions: Functions) -> None:
    (text,) = generate(functions, ["x"], num_chars=1, temperature=0.0)
    once = {"num_chars": 1, "temperature": 0.0}
    assert sample(functions, ["x"], stop=f"x{text}", **once) == ([text], [False])
    assert sample(functions, ["x"], stop=text, **once) == ([text], [True])
    # One call after another: the stop string begins with the last character of the one that was found before.
    first, state, stopped = chunk(functions, "x", fresh(), num_chars=50, stop=text)
    second, after, _ = chunk(functions, "", state, num_chars=1)
    assert (first, stopped) == (text, True)
    assert not chunk(functions, "", state, num_chars=1, stop=text + second)[2]
    # In the characters of one text without a stop string before, it is found across the calls.
    third, _, _ = chunk(functions, "", after, num_chars=1)
    assert chunk(functions, "", after, num_chars=1, stop=second + third)[2]


def test_stop_string_of_64_characters_and_one_with_unknown_characters(functions: Functions) -> None:
    (whole,) = generate(functions, [""], num_chars=100)
    assert sample(functions, ["", ""], num_chars=100, stop=[whole[20:84], whole[20:83] + "☃"]) == (
        [whole[:84], whole],
        [True, False],
    )


def test_loop_ends_when_all_rows_have_stopped(functions: Functions) -> None:
    (first,) = generate(functions, ["x"], num_chars=1)
    assert sample(functions, ["x"] * 2, num_chars=1_000, stop=first) == ([first] * 2, [True] * 2)
    assert sample(functions, ["x", ""], num_chars=0) == (["", ""], [False] * 2)
    assert sample(functions, [], num_chars=[], stop=[]) == ([], [])


# Checks


@pytest.mark.parametrize(
    ("name", "bad", "words"),
    [
        ("top_p", [0.0, -0.1, 1.001, math.nan], "top_p must be above 0 and at most 1"),
        (
            "repetition_penalty",
            [0.0, -1.0, 10.1, math.nan, math.inf],
            "repetition_penalty must be above 0 and at most 10",
        ),
        ("stop", ["é" * 65], "stop must have at most 64 characters"),
        ("num_chars", [-1, 1_001], "num_chars must be from 0 to 1000"),
        ("temperature", [math.nan], "temperature must be from 0 to 100"),
        ("top_k", [-1], "top_k must be 0"),
    ],
)
def test_input_out_of_range_in_one_row_is_refused_by_name(
    functions: Functions, name: str, bad: list[Any], words: str
) -> None:
    for value in bad:
        with pytest.raises(tf.errors.InvalidArgumentError, match=words):
            sample(functions, ["x"] * 3, **{name: [OFF[name], value, OFF[name]]})


def test_any_finite_state_gives_some_text_and_others_are_refused(functions: Functions) -> None:
    state = np.full_like(fresh(), -1e30)
    text, state, _ = chunk(functions, "", state, num_chars=7, repetition_penalty=2.0)
    assert len(text) == 7
    assert np.isfinite(state).all()
    with pytest.raises(tf.errors.InvalidArgumentError, match="state must be"):
        chunk(functions, "", np.full_like(fresh(), np.nan))


# alternatives


def alternatives(functions: Functions, rows: list[str], top_n: Any) -> dict[str, NDArray[Any]]:
    made = functions["alternatives"](
        text=tf.constant(rows), top_n=tf.constant(np.broadcast_to(top_n, len(rows)), tf.int32)
    )
    return {name: value.numpy() for name, value in made.items()}


@pytest.mark.numeric
def test_alternatives_are_the_most_likely_characters_of_the_reference() -> None:
    functions, rows, top_n = built("gru", layers=2), ["", "x☃語 ae", "e" * 66], [3, KNOWN, 1]
    actual = alternatives(functions, rows, top_n)
    assert actual["num_chars"].tolist() == list(map(len, rows))
    assert actual["characters"].shape == actual["probabilities"].shape == (3, 66, KNOWN)
    for row, (text, count) in enumerate(zip(rows, top_n)):
        model, line = gru.Gru(weights("gru", 2), CHARACTERS), gru.Gru(weights("gru", 2), CHARACTERS)
        for place in range(66):
            characters = [c.decode() for c in actual["characters"][row, place]]
            values = actual["probabilities"][row, place]
            shown = count if place < len(text) else 0
            assert characters[shown:] == [""] * (KNOWN - shown)
            assert not values[shown:].any()
            if not shown:
                continue
            logits = (model.read(text[place - 1]) if place else line.read("\n"))[:, :KNOWN]  # (runs, known)
            exact = np.exp(logits - logits.max(1, keepdims=True))
            exact /= exact.sum(1, keepdims=True)
            places = [CHARACTERS.index(character) for character in characters[:shown]]
            numeric.close(values[:shown], exact[:, places])
            assert (np.diff(values[:shown]) <= 0).all()
            assert len(set(places)) == shown
            assert values[:shown].sum() + exact[0].sum() - exact[0, places].sum() == pytest.approx(1, abs=1e-5)


def test_alternatives_are_bounded_and_top_n_is_checked(functions: Functions) -> None:
    assert alternatives(functions, ["a" * 750], 2)["probabilities"].shape == (1, 750, 2)
    for rows, top_n in ((["a" * 751], 2), (["a" * 251, ""], [1, 3])):
        with pytest.raises(tf.errors.InvalidArgumentError, match="alternatives takes at most 1500 characters"):
            alternatives(functions, rows, top_n)
    for bad in (0, -1, KNOWN + 1):
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"top_n must be from 1 to {KNOWN}"):
            alternatives(functions, ["a", "a"], [1, bad])
    assert alternatives(functions, ["", ""], 1)["characters"].shape == (2, 0, 1)
    nothing = functions["alternatives"](text=tf.constant([], tf.string), top_n=tf.constant([], tf.int32))
    assert nothing["characters"].shape == (0, 0, 1)
