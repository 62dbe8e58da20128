"""Parts of `trainer.fitting`; tests/trainer/test_tuning.py and tests/test_e2e.py run all of it."""

import pytest

from trainer import fitting
from trainer.model import LanguageModel
from transform.vocabulary import Vocabulary

pytestmark = pytest.mark.integration

VOCABULARY = Vocabulary(tuple(map(ord, "\nabc")))


def test_samples_are_text_of_the_vocabulary_and_reproducible() -> None:
    model = LanguageModel(VOCABULARY.size, embedding=3, units=4)
    sampler = fitting.sampler(model, VOCABULARY, 40, seed=5)
    text = sampler(10)
    assert len(text) == 40
    assert set(text) <= set(VOCABULARY.characters)
    assert sampler(10) == text
    assert sampler(20) != text
    assert fitting.sampler(model, VOCABULARY, 0, seed=5) is None
