"""A restored run has the state of the saved one."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.errors import UserError
from pipeline.config.training import TrainingConfig
from trainer import optimizer
from trainer.checkpoint import Checkpoints, Position, delete_incomplete
from trainer.cluster import collective
from trainer.model import LanguageModel

pytestmark = pytest.mark.integration

BATCH, UNITS = 3, 6
POSITION = Position(step=5, epoch=1, batch=2, best_loss=1.25, best_step=4, evals_since_best=1, finished=False)
TRAINING = TrainingConfig(learning_rate=0.1, final_fraction=0.1, warmup_steps=2, weight_decay=0.01)


@dataclass
class Run:
    """What a checkpoint saves."""

    model: LanguageModel
    optimizer: Any
    checkpoints: Checkpoints

    def train(self, steps: int, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        variables = self.model.trainable_variables
        for _ in range(steps):
            self.optimizer.apply([tf.constant(random.normal(size=v.shape), tf.float32) for v in variables], variables)

    @property
    def weights(self) -> list[np.ndarray]:
        return [variable.numpy() for variable in self.model.trainable_variables]

    @property
    def best(self) -> list[np.ndarray]:
        return [variable.numpy() for variable in self.checkpoints.best]

    @property
    def moments(self) -> list[np.ndarray]:
        return [variable.numpy() for variable in self.optimizer.variables]


def create(
    directory: Path, seed: int = 0, precision: str = "float32", chief: bool = True, keep_every_epoch: bool = False
) -> Run:
    model = LanguageModel(5, 4, UNITS, 2, seed=seed)
    made = optimizer.create(TRAINING, 10, 1, precision)
    made.build(model.trainable_variables)
    return Run(model, made, Checkpoints(str(directory), model, made, BATCH, chief, keep_every_epoch))


def carried(seed: int = 7) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.normal(size=(BATCH, UNITS)).astype(np.float32) for _ in range(2)]


def assert_equal(some: list[np.ndarray], others: list[np.ndarray]) -> None:
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(one, other)


def differ(some: list[np.ndarray], others: list[np.ndarray]) -> bool:
    return any((one != other).any() for one, other in zip(some, others, strict=True))


def test_without_a_checkpoint_nothing_is_restored(tmp_path: Path) -> None:
    run = create(tmp_path / "not yet there")
    before = run.weights
    assert run.checkpoints.restore() is None
    assert_equal(run.weights, before)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_saved_state_is_restored_exactly(tmp_path: Path, precision: str) -> None:
    saved = create(tmp_path, precision=precision)
    saved.train(2)
    saved.checkpoints.keep_as_best()
    saved.train(3)
    saved.checkpoints.save(POSITION, carried())

    other = create(tmp_path, seed=1, precision=precision)
    assert differ(other.weights, saved.weights)
    position, state = other.checkpoints.restore() or (None, [])
    assert position == POSITION
    assert_equal(state, carried())
    assert_equal(other.weights, saved.weights)
    assert_equal(other.best, saved.best)
    assert differ(other.best, other.weights)
    assert_equal(other.moments, saved.moments)
    saved.train(2, seed=1)
    other.train(2, seed=1)
    assert_equal(other.weights, saved.weights)


def test_position_before_the_first_evaluation_is_restored(tmp_path: Path) -> None:
    create(tmp_path).checkpoints.save(Position(step=1, batch=1), carried())
    position, _ = create(tmp_path).checkpoints.restore() or (None, [])
    assert position == Position(step=1, batch=1, best_loss=float("inf"))


@pytest.mark.parametrize("written", ["nothing", "data", "data and part of the index"])
def test_incomplete_newer_checkpoint_is_ignored(tmp_path: Path, written: str) -> None:
    saved = create(tmp_path)
    saved.checkpoints.save(POSITION, carried())
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    # The files of step 6, except the one that names the newest checkpoint.
    elsewhere = tmp_path / "elsewhere"
    newer = create(elsewhere)
    newer.train(1)
    newer.checkpoints.save(Position(step=6), carried(8))
    data, index = "ckpt-6.data-00000-of-00001", "ckpt-6.index"
    contents = {data: (elsewhere / data).read_bytes()[:-100], index: (elsewhere / index).read_bytes()[:50]}
    for name in {"nothing": [], "data": [data], "data and part of the index": [data, index]}[written]:
        (tmp_path / name).write_bytes(contents[name])
    assert {name: (tmp_path / name).read_bytes() for name in whole} == whole

    resumed = create(tmp_path, seed=1)
    position, state = resumed.checkpoints.restore() or (None, [])
    assert position == POSITION
    assert_equal(state, carried())
    assert_equal(resumed.weights, saved.weights)

    # The run reaches step 6 again, and this time the checkpoint is completed.
    resumed.train(1)
    resumed.checkpoints.save(Position(step=6), carried(9))
    again = create(tmp_path, seed=2)
    position, state = again.checkpoints.restore() or (None, [])
    assert position == Position(step=6)
    assert_equal(state, carried(9))
    assert_equal(again.weights, resumed.weights)


def test_only_the_newest_checkpoint_is_kept_across_runs(tmp_path: Path) -> None:
    first = create(tmp_path)
    first.checkpoints.save(Position(step=1), carried())
    first.checkpoints.save(Position(step=2), carried())
    second = create(tmp_path)
    second.checkpoints.restore()
    second.checkpoints.save(Position(step=3), carried())
    assert {path.stem for path in tmp_path.glob("ckpt-*")} == {"ckpt-3"}


def test_what_killed_runs_left_is_deleted(tmp_path: Path) -> None:
    saved = create(tmp_path, keep_every_epoch=True)
    saved.checkpoints.save(POSITION, carried())
    saved.checkpoints.save_epoch(1)
    whole = {path.relative_to(tmp_path) for path in tmp_path.rglob("*")}
    parts = ("ckpt-7.data-00000-of-00001", "ckpt-50_temp/part-00000-of-00001", "ckpt-5_temp/part")
    for name in ("checkpoint.tmp01ab", "ckpt-4.index", *parts):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    delete_incomplete(str(tmp_path))
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*")} == whole
    delete_incomplete(str(tmp_path / "new"))


def test_every_epoch_is_kept_if_configured(tmp_path: Path) -> None:
    run = create(tmp_path, keep_every_epoch=True)
    weights = []
    for epoch in (1, 2, 3):
        run.train(1, seed=epoch)
        run.checkpoints.save_epoch(epoch)
        weights.append(run.weights)
    assert {path.stem for path in (tmp_path / "epochs").glob("ckpt-*.index")} == {"ckpt-1", "ckpt-2", "ckpt-3"}
    model = LanguageModel(5, 4, UNITS, 2, seed=9)
    for epoch, expected in enumerate(weights, 1):
        reader = tf.train.Checkpoint(weights=[variable.value for variable in model.trainable_variables])
        reader.restore(str(tmp_path / "epochs" / f"ckpt-{epoch}")).expect_partial()
        assert_equal([variable.numpy() for variable in model.trainable_variables], expected)


def test_epochs_are_not_kept_by_default(tmp_path: Path) -> None:
    run = create(tmp_path)
    run.checkpoints.save_epoch(1)
    run.checkpoints.save(POSITION, carried())
    assert not (tmp_path / "epochs").exists()


def test_best_weights_are_restored(tmp_path: Path) -> None:
    run = create(tmp_path)
    run.train(1)
    best = run.weights
    run.checkpoints.keep_as_best()
    run.train(2)
    assert differ(run.weights, best)
    assert_equal(run.best, best)
    run.checkpoints.use_best()
    assert_equal(run.weights, best)


def test_other_processes_restore_the_chiefs_checkpoint_and_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, directory = tmp_path / "temporary", tmp_path / "checkpoints"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    chief = create(directory)
    chief.train(1)
    chief.checkpoints.save(POSITION, carried())
    files = sorted(path.name for path in directory.iterdir())

    worker = create(directory, seed=1, chief=False, keep_every_epoch=True)
    position, _ = worker.checkpoints.restore() or (None, [])
    assert position == POSITION
    assert_equal(worker.weights, chief.weights)
    worker.checkpoints.save(Position(step=6), carried())
    worker.checkpoints.save_epoch(1)
    assert sorted(path.name for path in directory.iterdir()) == files
    assert list(temporary.iterdir()) == []


def test_processes_that_begin_differently_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, values = create(tmp_path / "key" / "kind"), list[int]()
    monkeypatch.setattr(collective, "_total", lambda strategy, value: values.append(value) or 2 * value)
    two = SimpleNamespace(num_replicas_in_sync=2)
    run.checkpoints.check_same(two, POSITION)
    run.checkpoints.check_same(two, Position())
    create(tmp_path / "other key" / "kind").checkpoints.check_same(two, POSITION)
    create(tmp_path / "key" / "other kind").checkpoints.check_same(two, POSITION)
    create(tmp_path / "elsewhere" / "key" / "kind").checkpoints.check_same(two, POSITION)
    assert len(set(values)) == 4
    assert values[0] == values[4]  # the same storage may be mounted elsewhere
    monkeypatch.setattr(collective, "_total", lambda strategy, value: 2 * value + 1)
    with pytest.raises(UserError, match=r"do not begin alike.* one directory .* Received: key/kind at step 5"):
        run.checkpoints.check_same(two, POSITION)
