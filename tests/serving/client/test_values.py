"""Checks of arguments, and values derived from responses."""

import copy
import doctest
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from serving.client import values
from serving.client.values import Generated, Metadata, Score, as_texts


@pytest.mark.parametrize("bad", ["a\ud800", ["fine", "\udcff"], [b"bytes"], [None], None, 7])
def test_texts_must_be_unicode(bad: Any) -> None:
    with pytest.raises(ValueError, match="prompt"):
        as_texts(bad, "prompt")


def test_generated_text_is_a_str_with_a_seed() -> None:
    text = Generated("abc", 4)
    assert (text, text.seed, text.stopped, text + "d") == ("abc", 4, False, "abcd")


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda text: pickle.loads(pickle.dumps(text))])
def test_generated_text_can_be_copied_and_pickled(again: Callable[[Generated], Generated]) -> None:
    text = again(Generated("abc", 4, True))
    assert (type(text), text, text.seed, text.stopped) == (Generated, "abc", 4, True)


def test_perplexity_and_bits_of_a_score() -> None:
    score = Score((math.log(2), math.log(8)), math.log(16), 2)
    assert score.perplexity == pytest.approx(4)
    assert score.bits_per_character == pytest.approx(2)
    assert math.isnan(Score((), 0.0, 0).perplexity)
    assert math.isnan(Score((), 0.0, 0).bits_per_character)
    assert math.isnan(Score((math.nan,), math.nan, 1).perplexity)
    assert Score((1e6,), 1e6, 1).perplexity == math.inf


def test_model_without_state_has_no_state_size() -> None:
    with pytest.raises(ValueError, match="serving_default"):
        _ = Metadata(1, {"serving_default": {}}).state_size


def test_example() -> None:
    result = doctest.testmod(values)
    assert result.failed == 0 < result.attempted
