"""A checkpoint directory suffices to build the model that training would export from it."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.errors import UserError
from pipeline.config.training import ModelConfig
from serving.graph import checkpoint
from serving.graph.one_step import Defaults
from tests import numeric
from tests.gru import Gru, weights_of
from trainer import export
from trainer.checkpoint import Checkpoints, Position, describe
from trainer.model import LanguageModel
from transform.vocabulary import Vocabulary

pytestmark = pytest.mark.integration

CHARACTERS, TEXT = "\n aeéx語😀", "a éx語\n"
VOCABULARY = Vocabulary(tuple(map(ord, CHARACTERS)))
SIZES = ModelConfig(embedding=4, units=6, layers=2, dropout=0.1)
DEFAULTS = Defaults(num_chars=7, temperature=0.5, top_k=3, max_chars=50)


def trained(seed: int = 1) -> LanguageModel:
    model = LanguageModel(VOCABULARY.size, 4, 6, 2)
    change(model, seed)
    return model


def change(model: LanguageModel, seed: int) -> None:
    random = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(random.normal(0.0, 0.7, variable.shape))


def save(folder: Path, model: LanguageModel, position: Position, best: bool = False) -> None:
    checkpoints = Checkpoints(str(folder), model, tf.Variable(0.0), 2, True, False)
    if best:
        checkpoints.keep_as_best()
        change(model, 99)
    checkpoints.save(position, [np.zeros((2, 6), np.float32)] * 2)


def nats(directory: str) -> tuple[float, int]:
    model, step = checkpoint.one_step(directory, DEFAULTS)
    return float(model.score(tf.constant([TEXT]))["nll_sum"][0]), step


def expected(model: LanguageModel) -> np.ndarray:
    """Compute the score with the reference implementation."""
    return Gru(weights_of(model.trainable_variables), CHARACTERS).nll_sum(TEXT)


@pytest.mark.numeric
def test_before_the_first_evaluation_the_last_weights_are_read(tmp_path: Path) -> None:
    model = trained()
    describe(str(tmp_path), VOCABULARY, SIZES, True)
    save(tmp_path, model, Position(step=30))
    found, step = nats(str(tmp_path))
    numeric.close(found, expected(model))
    assert step == 30


@pytest.mark.numeric
@pytest.mark.parametrize("restore_best", [True, False])
def test_weights_are_those_that_training_would_export(tmp_path: Path, restore_best: bool) -> None:
    model = trained()
    at_best = expected(model)
    describe(str(tmp_path), VOCABULARY, SIZES, restore_best)
    save(tmp_path, model, Position(step=30, best_step=20, best_loss=1.0), best=True)
    at_end = expected(model)
    assert abs(at_best - at_end)[0] > 0.1
    found, step = nats(str(tmp_path))
    numeric.close(found, at_best if restore_best else at_end)
    assert step == (20 if restore_best else 30)


@pytest.mark.parametrize(("cell", "tied"), [("rnn", True), ("lstm", False), ("layer_norm_lstm", True)])
def test_checkpoint_of_every_cell_gives_the_exported_model(tmp_path: Path, cell: Any, tied: bool) -> None:
    sizes = ModelConfig(cell=cell, embedding=6, units=6, layers=2, tied=tied)
    model = LanguageModel(VOCABULARY.size, **sizes.model_dump())
    change(model, 1)
    describe(str(tmp_path), VOCABULARY, sizes, True)
    Checkpoints(str(tmp_path), model, tf.Variable(0.0), 2, True, False).save(Position(step=1), [])
    exported = export.one_step(model, VOCABULARY, DEFAULTS)
    restored, _ = checkpoint.one_step(str(tmp_path), DEFAULTS)
    text = tf.constant([TEXT])
    np.testing.assert_array_equal(restored.score(text)["nll"], exported.score(text)["nll"])


def test_newest_checkpoint_is_found_at_any_depth(tmp_path: Path) -> None:
    for i, name in enumerate(["one/cpu", "two/cpu", "two/gpu", "two/cpu/epochs"]):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "checkpoint").write_text("")
        os.utime(tmp_path / name / "checkpoint", (1_000 + i, 1_000 + i))
    assert checkpoint.newest(str(tmp_path)) == str(tmp_path / "two" / "gpu")
    assert checkpoint.newest(str(tmp_path / "one")) == str(tmp_path / "one" / "cpu")
    assert checkpoint.newest(str(tmp_path / "two" / "cpu")) == str(tmp_path / "two" / "cpu")


def test_missing_checkpoint_or_description_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint"):
        checkpoint.newest(str(tmp_path))
    with pytest.raises(UserError, match="no checkpoint"):
        checkpoint.newest(str(tmp_path / "missing"))
    save(tmp_path, trained(), Position(step=1))
    with pytest.raises(UserError, match=checkpoint.DESCRIPTION):
        checkpoint.one_step(str(tmp_path), DEFAULTS)


def test_description_is_replaced_without_leftovers(tmp_path: Path) -> None:
    describe(str(tmp_path), VOCABULARY, SIZES, True)
    describe(str(tmp_path), VOCABULARY, SIZES, False)
    assert os.listdir(tmp_path) == [checkpoint.DESCRIPTION]
