"""Parts of `trainer.fitting`; tests/trainer/test_tuning.py and tests/test_e2e.py run all of it."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.models import training
from pipeline.config import overrides
from pipeline.config.parameters import FitParameters
from trainer import fitting, hardware
from trainer.data.documents import Split
from trainer.data.windows import Windows
from trainer.model import LanguageModel
from trainer.plan import record
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


def test_auto_is_chosen_logged_and_written_and_biases_start_from_the_frequencies_of_many_characters(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.plan.choices.LARGEST_FULL_SOFTMAX", 4)
    monkeypatch.setattr("trainer.plan.choices.SAMPLED", 2)
    random = np.random.default_rng(1)

    def split(length: int) -> Split:
        return Split(("one",), np.array([length]), random.integers(4, size=length).astype(np.uint8))

    text = fitting.Data(VOCABULARY, split(4_000), split(60), "")
    settings = ["model.units=4", "model.embedding=2", "training.sequence_length=10", "training.sample_chars=0"]
    settings += ["training.precision=float32", "training.max_minutes=0.001", "training.learning_rate=1e-30"]
    config = overrides.load("quick", settings)
    parameters = FitParameters(seed=1, model=config.model, training=config.training)
    with caplog.at_level(logging.INFO, "char_rnn.progress"):
        model, position, *_ = fitting.fit(
            parameters, hardware.choose("auto", "float32"), text, str(tmp_path), chief=True
        )
    powers = np.exp(model.projection.bias.numpy())
    np.testing.assert_allclose(powers / powers.sum(), (np.bincount(text.train.ids, minlength=5) + 1) / 4_005, rtol=1e-5)
    chosen = record.read(str(tmp_path))
    names = [
        "output_dropout",
        "recurrent_dropout",
        "weight_decay",
        "batch_size",
        "initial_bias",
        "sampled_softmax",
        "steps",
    ]
    assert [key.partition(".")[2] for key in chosen] == [*names, "eval_every", "early_stopping"]
    assert position.total_steps == chosen["training.steps"]["value"] == 100
    assert "training.max_minutes=0.001" in chosen["training.steps"]["reason"]
    stated = training.read(str(tmp_path))
    assert (stated.steps, stated.network, stated.seconds > 0) == (100, "gru 1x4", True)
    assert list(stated.frequencies.values()) == np.bincount(text.train.ids).tolist()
    assert list(stated.frequencies) == ["\n", "a", "b", "c"]
    for key, choice in chosen.items():
        assert f"chosen: {key}={choice['value']}: {choice['reason']}" in caplog.messages


def test_windows_of_short_documents_have_one_document_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Vocabulary(tuple(map(ord, "ab\x03")))
    ids = np.array(known.encode("\x03" + "abba\x03aba\x03" * 50), np.uint8)
    split = Split(("one",), np.array([len(ids)]), ids)
    seen: list[Windows] = []

    class Stopped(Exception):
        pass

    def loop(*arguments: Any) -> None:
        seen.extend(argument for argument in arguments if isinstance(argument, Windows))
        raise Stopped

    monkeypatch.setattr(fitting, "Loop", loop)
    config = overrides.load("quick", ["model.units=4", "model.embedding=2", "training.precision=float32"])
    parameters = FitParameters(seed=1, model=config.model, training=config.training)
    data, machine = fitting.Data(known, split, split, ""), hardware.choose("auto", "float32")
    with pytest.raises(Stopped):
        fitting.fit(parameters, machine, data, str(tmp_path), chief=True)
    for windows in seen:
        assert windows.lengths.tolist() == [5, 4] * 50
        assert windows.size == 5
        assert windows.starts_document.all()
    assert len(seen) == 2
