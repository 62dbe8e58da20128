from pathlib import Path

import numpy as np
import pytest

from benchmarks import batches, corpus
from benchmarks.implementations import job
from pipeline.config import overrides
from trainer import fitting

pytestmark = pytest.mark.integration

SMALL = ["training.batch_size=3", "training.sequence_length=7", "training.steps=9"]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> fitting.Data:
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_text("abcdefghij" * 300)
    return corpus.load(str(path))


@pytest.mark.parametrize(("preset", "carries"), [("quick", True), ("tutorial", False)])
def test_targets_are_the_next_characters_and_state_is_carried_as_in_training(
    text: fitting.Data, tmp_path: Path, preset: str, carries: bool
) -> None:
    config = overrides.load(preset, SMALL).model_dump()
    made = batches.make(config, text, 4, tmp_path / "batches")
    arrays = job.read(made.path)
    assert arrays.inputs.shape == arrays.targets.shape == (4, made.rows, made.length) == (4, 3, 7)
    np.testing.assert_array_equal(arrays.inputs[:, :, 1:], arrays.targets[:, :, :-1])
    if carries:
        np.testing.assert_array_equal(arrays.targets[0, :, -1], arrays.inputs[1, :, 0])
    assert [bool(keep.any()) for keep in arrays.keep] == [False] + [carries] * 3


def test_epochs_follow_one_another_and_all_windows_are_full(text: fitting.Data, tmp_path: Path) -> None:
    config = overrides.load("quick", SMALL).model_dump()
    in_an_epoch = text.train.targets // 7 // 3
    arrays = job.read(batches.make(config, text, in_an_epoch + 9, tmp_path / "batches").path)
    assert arrays.mask.all()
    assert np.sum(~arrays.keep.any(axis=(1, 2))) == 2


def test_text_without_full_batches_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("abcdefghij" * 450)
    config = overrides.load("quick", ["training.sequence_length=100", "training.batch_size=64"]).model_dump()
    with pytest.raises(SystemExit, match="too small for 4 batches of 10 full windows"):
        batches.make(config, corpus.load(str(tmp_path / "text.txt")), 4, tmp_path / "batches")


def test_learning_rates_follow_the_schedule(text: fitting.Data, tmp_path: Path) -> None:
    config = overrides.load("quick", [*SMALL, "training.warmup_steps=2"]).model_dump()
    rates = job.read(batches.make(config, text, 4, tmp_path / "batches").path).rates
    assert rates[0] == 0.0
    assert rates[2] == pytest.approx(config["training"]["learning_rate"])
    assert rates[1] == pytest.approx(rates[2] / 2)


def test_model_section_has_every_dropout_rate_and_none_that_peers_lack() -> None:
    model = batches.comparable(overrides.load("best").model_dump()["model"])
    assert (model["input_dropout"], model["output_dropout"], model["recurrent_dropout"]) == (0.0, 0.4, 0.0)
    assert model["initial_embedding"] == 1.0
    assert batches.comparable(overrides.load("tutorial").model_dump()["model"])["initial_embedding"] == 0.05
