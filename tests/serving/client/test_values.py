"""What the client refuses before anything is sent, and how values are derived."""

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from serving.client.values import Controls, Generated, Metadata, Score, texts_of

GOOD: dict[str, Any] = {"rows": 2, "num_chars": 5, "temperature": 1, "top_k": 0, "seed": 3}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_chars", -1),
        ("num_chars", 2**31),
        ("num_chars", 1.0),
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", 101),
        ("temperature", "a"),
        ("temperature", None),
        ("temperature", 10**400),
        ("top_k", -1),
        ("top_k", 2**31),
        ("seed", 2**63 - 1),  # the second row's would be too large
        ("seed", -(2**63) - 1),
        ("seed", 0.5),
        ("seed", [1]),
        ("seed", [1, 2, 3]),
    ],
)
def test_a_value_that_no_server_takes_is_named(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name}.*Received: "):
        Controls.of(**{**GOOD, name: value})


def test_seeds_count_up_or_are_given_or_drawn() -> None:
    assert Controls.of(**GOOD).seeds == (3, 4)
    assert Controls.of(**{**GOOD, "seed": [9, -9]}).seeds == (9, -9)
    drawn = [Controls.of(**{**GOOD, "seed": None}).seeds for _ in range(3)]
    assert len(set(drawn)) == 3
    assert all(second == first + 1 and 0 <= first < 2**31 for first, second in drawn)


def test_a_row_is_what_the_signature_takes() -> None:
    row = Controls.of(**GOOD).row(1, "A")
    assert row == {"prompt": "A", "num_chars": 5, "temperature": 1.0, "top_k": 0, "seed": 4}
    assert isinstance(row["temperature"], float)


@pytest.mark.parametrize("bad", ["a\ud800", ["fine", "\udcff"], [b"bytes"], [None], None, 7])
def test_texts_must_be_unicode(bad: Any) -> None:
    with pytest.raises(ValueError, match="prompt"):
        texts_of(bad, "prompt")


def test_text_is_text_with_a_seed() -> None:
    text = Generated("abc", 4)
    assert (text, text.seed, text + "d") == ("abc", 4, "abcd")


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda text: pickle.loads(pickle.dumps(text))])
def test_text_can_be_copied_and_pickled(again: Callable[[Generated], Generated]) -> None:
    text = again(Generated("abc", 4))
    assert (type(text), text, text.seed) == (Generated, "abc", 4)


def test_figures_of_a_score() -> None:
    score = Score((math.log(2), math.log(8)), math.log(16), 2)
    assert score.perplexity == pytest.approx(4)
    assert score.bits_per_character == pytest.approx(2)
    assert math.isnan(Score((), 0.0, 0).perplexity)
    assert math.isnan(Score((), 0.0, 0).bits_per_character)
    assert math.isnan(Score((math.nan,), math.nan, 1).perplexity)
    assert Score((1e6,), 1e6, 1).perplexity == math.inf


def test_a_model_without_state() -> None:
    with pytest.raises(ValueError, match="serving_default"):
        _ = Metadata(1, {"serving_default": {}}).state_size
