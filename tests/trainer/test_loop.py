"""Tiny models that really train: they learn, stop, resume exactly, and do on two devices what they do on one.

Run as a program, this file prints the results of training on two logical devices, which must be created before
TensorFlow starts.
"""

import contextlib
import json
import math
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.errors import UserError
from pipeline.config.training import TrainingConfig
from tests import numeric, warm
from tests.gru import UNICODE, Gru, weights_of
from trainer import hardware, optimizer
from trainer.checkpoint import Checkpoints, Position
from trainer.compiled.steps import Steps
from trainer.data import windows
from trainer.loop import Loop
from trainer.model import LanguageModel
from trainer.plan import budget, choices, sizes
from trainer.progress import Reporter

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
VOCABULARY, LENGTH = 6, 5
RISING = np.tile(np.arange(VOCABULARY, dtype=np.uint8), 40)  # each character determines the next one
FALLING = RISING[::-1]
NOISE = np.random.default_rng(5).integers(VOCABULARY, size=240).astype(np.uint8)


class Killed(Exception):
    """Raised by a test in the middle of a run."""


class Recorder(Reporter):
    """Records reports; kills the run at a step, before that step can be saved."""

    def __init__(self, kill_at: int = 0) -> None:
        super().__init__(total_steps=1000, log_every=1000, writer=None)
        self.kill_at = kill_at
        self.losses: list[float] = []
        self.characters: list[int] = []
        self.evaluations: list[tuple[int, float, bool, str | None]] = []

    def step(self, step: int, loss: float, characters: int) -> None:
        if step == self.kill_at:
            raise Killed
        self.losses.append(loss)
        self.characters.append(characters)

    def evaluation(self, step: int, loss: float, best: bool, sample: str | None) -> None:
        self.evaluations.append((step, loss, best, sample))


@dataclass
class Trial:
    """A run that is ready to start, built as `trainer.run` builds it."""

    model: LanguageModel
    optimizer: Any
    loop: Loop
    checkpoints: Checkpoints
    recorder: Recorder

    def run(self, sample: Callable[[int], str] | None = None) -> Position:
        return self.loop.run(self.checkpoints, self.recorder, sample)

    @property
    def weights(self) -> list[np.ndarray]:
        return [variable.numpy() for variable in self.model.trainable_variables]


@dataclass
class Shared:
    """A model, its optimizer, and the steps compiled for them, with the first values of their variables."""

    model: LanguageModel
    optimizer: Any
    compiled: Steps
    values: list[tuple[Any, np.ndarray]]


SHARED: dict[tuple, Shared] = {}
# What the loop reads in Python, so that runs of one graph may differ in it.
NOT_COMPILED = ("checkpoint_seconds", "data_order", "early_stopping", "epochs", "eval_every", "keep_every_epoch")
NOT_COMPILED += ("restore_best", "steps_per_call")


@pytest.fixture(scope="module", autouse=True)
def _let_go_of_graphs() -> Iterator[None]:
    yield
    SHARED.clear()  # TensorFlow complains when they live until the interpreter ends


def training(**changes: Any) -> TrainingConfig:
    """The default configuration, small, with the schedule whose steps are traced faster."""
    small = {"batch_size": 4, "sequence_length": LENGTH, "steps": 12, "learning_rate": 0.02, "warmup_steps": 2}
    return TrainingConfig(
        **{
            **small,
            "schedule": "constant",
            "eval_every": 4,
            "early_stopping": 5,
            "weight_decay": 0.01,
            "sampled_softmax": 0,
            "precision": "float32",
            "checkpoint_seconds": 1000,
            **changes,
        }
    )


def create(
    directory: Path,
    strategy: tf.distribute.Strategy | None = None,
    train: np.ndarray = RISING,
    evaluation: np.ndarray = NOISE,
    documents: tuple[int, ...] = (),
    layers: int = 1,
    dropout: float = 0.0,
    kill_at: int = 0,
    stock_layer: bool = False,
    clock: Callable[[], float] | None = None,
    shared: str = "",
    **changes: Any,
) -> Trial:
    """Build a trial.

    Args:
      shared: trials with this name and with equal graphs use one model, which saves seconds of compilation. Each
        begins with the first weights, and ends when the next one is created. Empty: a separate model.
    """
    settings = training(**changes)
    strategy = strategy or tf.distribute.get_strategy()
    cut = windows.contiguous if settings.data_order == "contiguous" else windows.independent
    lengths = np.array(documents or (len(train),), np.int64)
    train_windows = cut(train, lengths, settings.sequence_length)
    eval_windows = windows.contiguous(evaluation, np.array([len(evaluation)], np.int64), settings.sequence_length)
    replicas = strategy.num_replicas_in_sync
    measured = sizes.measure(settings, train_windows, eval_windows, replicas)
    steps = choices.count_steps(settings, measured)
    compiled = settings.model_dump_json(exclude={*NOT_COMPILED, "steps"})
    key = (shared, compiled, settings.schedule == "cosine" and steps, layers, dropout, stock_layer, replicas)
    known = SHARED.get(key) if shared else None
    with strategy.scope():
        limit = clock and budget.TimeLimit(settings, steps, measured, clock)
        decay_steps = tf.Variable(1.0, trainable=False) if limit else None
        if known:
            model, made = known.model, known.optimizer
        else:
            model = LanguageModel(
                VOCABULARY, 4, 8, layers, dropout, seed=3, precision=settings.precision, stock_layer=stock_layer
            )
            made = optimizer.create(settings, steps, replicas, settings.precision, decay_steps)
            made.build(model.trainable_variables)
        loop = Loop(settings, 3, strategy, model, made, train_windows, eval_windows, limit, decay_steps)
    if known:
        loop.compiled = known.compiled
        for variable, value in known.values:
            variable.assign(value)
    elif shared:
        values = [(variable, variable.numpy()) for variable in (*model.trainable_variables, *made.variables)]
        SHARED[key] = Shared(model, made, loop.compiled, values)
    checkpoints = Checkpoints(str(directory), model, made, loop.size.rows, True, settings.keep_every_epoch)
    return Trial(model, made, loop, checkpoints, Recorder(kill_at))


def unchanging(directory: Path, **changes: Any) -> Trial:
    """A run of a model with strong weights that training does not change, so that all its losses are of one model."""
    trial = create(directory, train=NOISE, **{"learning_rate": 1e-30, "steps": None, "early_stopping": 0, **changes})
    random = np.random.default_rng(4)
    for variable in trial.model.trainable_variables:
        variable.assign(random.normal(0.0, 0.7, variable.shape))
    trial.checkpoints.keep_as_best()
    return trial


def nats(model: LanguageModel, ids: np.ndarray) -> np.ndarray:
    """All nats of one document from its beginning: runs of the reference."""
    characters = "abcdef"  # of the ids; the last one is that of unknown characters
    text = "".join(characters[i] for i in ids)
    runs = Gru(weights_of(model.trainable_variables), characters[:-1]).nll_sum(text)
    return runs - text[1:].count("f") * math.log(UNICODE - len(characters) + 1)


def assert_equal(some: list[np.ndarray], others: list[np.ndarray]) -> None:
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("data_order", "precision"), [("contiguous", "float32"), ("shuffled", "bfloat16"), ("contiguous", "float16")]
)
def test_loss_falls_on_predictable_text(tmp_path: Path, data_order: str, precision: str) -> None:
    settings = {"steps": 60, "eval_every": 60, "learning_rate": 0.05, "data_order": data_order, "precision": precision}
    settings["schedule"] = "cosine"
    trial = create(tmp_path, evaluation=RISING, **settings)
    position = trial.run()
    assert trial.recorder.losses[0] == pytest.approx(math.log(VOCABULARY), abs=0.2)
    assert np.mean(trial.recorder.losses[-10:]) < 0.5 * math.log(VOCABULARY)
    assert position.best_loss < 0.6 * math.log(VOCABULARY)
    assert (position.step, position.finished) == (60, True)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_stock_layer_learns_on_one_device(tmp_path: Path, precision: str) -> None:
    settings = {"steps": 60, "eval_every": 60, "learning_rate": 0.05, "precision": precision}
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    trial = create(tmp_path, one, evaluation=RISING, stock_layer=True, **settings)
    position = trial.run()
    assert np.mean(trial.recorder.losses[-10:]) < 0.5 * math.log(VOCABULARY)
    assert position.best_loss < 0.6 * math.log(VOCABULARY)


@pytest.mark.numeric
def test_state_is_carried_from_window_to_window_and_reset_between_documents(tmp_path: Path) -> None:
    documents = (33, 2, 205)
    trial = unchanging(tmp_path, documents=documents, batch_size=1, epochs=2)
    before = trial.weights
    trial.run()
    assert_equal(trial.weights, before)
    whole = sum(nats(trial.model, document) for document in np.split(NOISE, np.cumsum(documents)[:-1]))
    recorder = trial.recorder
    total = sum(loss * characters for loss, characters in zip(recorder.losses, recorder.characters))
    assert sum(recorder.characters) == 2 * (sum(documents) - len(documents))
    numeric.close(total, 2 * whole)


@pytest.mark.numeric
def test_independent_windows_start_without_state(tmp_path: Path) -> None:
    trial = unchanging(tmp_path, data_order="shuffled", batch_size=8, epochs=1)
    trial.run()
    chunks = NOISE.reshape(-1, LENGTH + 1)
    assert len(chunks) == 8 * len(trial.recorder.losses)
    alone = sum(nats(trial.model, chunk) for chunk in chunks) / (len(chunks) * LENGTH)
    numeric.close(np.mean(trial.recorder.losses), alone)


@pytest.mark.numeric
def test_evaluation_is_the_mean_over_all_targets_with_state_carried_and_nothing_dropped(tmp_path: Path) -> None:
    trial = unchanging(tmp_path, evaluation=NOISE[:38], layers=2, dropout=0.5, epochs=1, sampled_softmax=2)
    # Eight windows, the last one of two targets, in two streams.
    halves = [NOISE[: 4 * LENGTH + 1], NOISE[4 * LENGTH : 38]]
    expected = sum(nats(trial.model, half) for half in halves) / 37
    numeric.close(trial.loop.evaluate(), expected)
    other = windows.contiguous(np.asarray(NOISE[5 : 6 + LENGTH]), np.array([LENGTH + 1]), LENGTH)
    numeric.close(trial.loop.evaluate(other), nats(trial.model, NOISE[5 : 6 + LENGTH]) / LENGTH)


def test_shuffled_epochs_differ_and_contiguous_ones_do_not(tmp_path: Path) -> None:
    for data_order, same in (("shuffled", False), ("contiguous", True)):
        trial = unchanging(tmp_path / data_order, data_order=data_order, epochs=2, eval_every=None, shared="one")
        trial.run()
        losses = trial.recorder.losses
        half = len(losses) // 2
        assert (losses[:half] == losses[half:]) == same
        assert [step for step, *_ in trial.recorder.evaluations] == [half, 2 * half]  # once an epoch


@pytest.mark.parametrize("data_order", ["contiguous", "shuffled"])
def test_run_that_is_killed_twice_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_order: str
) -> None:
    clock = count()  # advances one second per call: a checkpoint about every third step
    monkeypatch.setattr("trainer.loop.time", SimpleNamespace(monotonic=lambda: next(clock)))
    changes: dict[str, Any] = {
        "data_order": data_order,
        "train": NOISE[:180],
        "documents": (40, 60, 35, 45),  # in another order in each epoch
        "layers": 2,
        "dropout": 0.3,
        "sampled_softmax": 2 if data_order == "shuffled" else 0,
        "steps": 23,  # more than two epochs
        "eval_every": 5,
        "schedule": "cosine",
        "checkpoint_seconds": 3,
        "restore_best": False,
        "early_stopping": 0,
    }
    through = create(tmp_path / "through", shared="one", **changes)
    expected = through.run()
    weights, optimized = through.weights, [variable.numpy() for variable in through.optimizer.variables]
    assert expected.epoch >= 2
    assert expected.batch > 0

    def power_cut(step: int) -> str:
        if step == 15:
            raise Killed
        return "text"

    # No run continues with the model of the one before it, as in a new process.
    first = create(tmp_path / "killed", shared="one", **changes, kill_at=8)
    with pytest.raises(Killed):
        first.run()
    second = create(tmp_path / "killed", shared="other", steps_per_call=4, **changes)
    for variable in second.model.trainable_variables:
        variable.assign(tf.zeros(variable.shape))  # nothing may depend on the initial weights
    with pytest.raises(Killed):
        second.run(power_cut)
    third = create(tmp_path / "killed", shared="one", **changes)
    position = third.run()

    assert position == expected
    assert_equal(third.weights, weights)
    assert_equal([variable.numpy() for variable in third.optimizer.variables], optimized)
    assert_equal([v.numpy() for v in third.checkpoints.best], [v.numpy() for v in through.checkpoints.best])
    # The later runs resumed: they neither started from the beginning nor skipped a step.
    assert 23 - 15 < len(third.recorder.losses) <= 23 - 10  # step 10 was evaluated and therefore saved
    assert third.recorder.losses == through.recorder.losses[-len(third.recorder.losses) :]
    assert second.recorder.losses[-1] == through.recorder.losses[14]


def test_run_with_a_time_limit_repeats_as_one_with_its_number_of_steps_and_resumes_with_its_plan(
    tmp_path: Path,
) -> None:
    changes: dict[str, Any] = {"schedule": "cosine", "warmup_steps": 25, "eval_every": 30, "restore_best": False}
    ticks = count()
    limited = {**changes, "steps": 400, "max_minutes": 2.0, "early_stopping": 0}
    first = create(tmp_path / "killed", clock=lambda: float(next(ticks)), kill_at=72, **limited)
    with pytest.raises(Killed):
        first.run()
    steps = int(first.recorder.chosen["training.steps"]["value"])
    assert 100 < steps < 120
    # The rest of the run is on a machine that is much faster.
    again = create(tmp_path / "killed", clock=lambda: 0.0, **limited)
    position = again.run()
    assert (position.step, position.total_steps) == (steps, steps)
    repeated = create(tmp_path / "repeated", steps=steps, **{**changes, "early_stopping": 0})
    assert repeated.run() == position
    assert_equal(repeated.weights, again.weights)


def test_finished_run_is_not_trained_further(tmp_path: Path) -> None:
    first = create(tmp_path, shared="one")
    ended = first.run()
    again = create(tmp_path)
    assert again.run() == ended
    assert again.recorder.losses == []
    assert_equal(again.weights, first.weights)  # the best ones


def test_every_evaluation_is_followed_by_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        create(tmp_path, kill_at=11, checkpoint_seconds=1000, shared="one").run()
    position, _ = create(tmp_path).checkpoints.restore() or (Position(), [])
    assert position.step == 8


def overfitting(directory: Path, **changes: Any) -> Trial:
    """Create a run whose eval loss soon rises: the eval text is the reverse of the train text."""
    settings = {"steps": 40, "eval_every": 2, "early_stopping": 3, **changes}
    return create(directory, evaluation=FALLING, shared="one", **settings)


def test_training_stops_when_the_eval_loss_stops_improving(tmp_path: Path) -> None:
    trial = overfitting(tmp_path)
    position = trial.run()
    assert position.finished
    assert position.evals_since_best == 3
    assert position.step == position.best_step + 6 < 40
    losses = {step: loss for step, loss, *_ in trial.recorder.evaluations}
    assert min(losses, key=lambda step: losses[step]) == position.best_step
    assert position.best_loss == losses[position.best_step]
    assert overfitting(tmp_path / "never", early_stopping=0).run().step == 40


def test_only_evaluations_since_the_best_one_count_towards_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = [2.0, 2.1, 2.2, 1.9, 2.0, 2.1, 1.8, 1.9, 1.8, 2.0]  # three in a row without a better one only at the end
    trial = create(tmp_path, steps=40, eval_every=1, early_stopping=3, shared="one")
    monkeypatch.setattr(trial.loop, "evaluate", iter([*losses, *[9.0] * 30]).__next__)
    position = trial.run()
    assert (position.step, position.best_step, position.evals_since_best) == (10, 7, 3)


@pytest.mark.parametrize(
    ("of_call", "seconds", "expected"),
    [("auto", math.inf, [1, 1, 2, 4, 3]), ("auto", 0.0, [1] * 11), (3, math.inf, [3, 1, 3, 1, 3])],
)
def test_calls_grow_while_they_are_short_and_end_at_evaluations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_call: Any, seconds: float, expected: list[int]
) -> None:
    monkeypatch.setattr("trainer.loop.CALL_SECONDS", seconds)
    trial = create(tmp_path, steps=11, steps_per_call=of_call, shared="one")
    sizes, train_steps = list[int](), trial.loop.train_steps
    monkeypatch.setattr(trial.loop, "train_steps", lambda *given: (sizes.append(len(given[1])), train_steps(*given))[1])
    trial.run()
    assert sizes == expected
    assert [step for step, *_ in trial.recorder.evaluations] == [4, 8, 11]
    assert len(trial.recorder.losses) == 11


@pytest.mark.parametrize("restore_best", [True, False])
def test_best_weights_are_in_the_model_afterwards_if_configured(tmp_path: Path, restore_best: bool) -> None:
    trial = overfitting(tmp_path, restore_best=restore_best)
    position = trial.run()
    last = trial.recorder.evaluations[-1][1]
    assert last > position.best_loss
    assert trial.loop.evaluate() == (position.best_loss if restore_best else last)


def test_evaluations_are_reported_with_their_sample(tmp_path: Path) -> None:
    trial = overfitting(tmp_path)
    trial.run(lambda step: f"text of step {step}")
    least = math.inf
    for number, (step, loss, best, sample) in enumerate(trial.recorder.evaluations, 1):
        assert (step, sample) == (2 * number, f"text of step {2 * number}")
        assert best == (loss < least)
        least = min(least, loss)


def test_last_step_is_always_evaluated(tmp_path: Path) -> None:
    trial = create(tmp_path, steps=7, eval_every=4, shared="one")
    trial.run()
    assert [step for step, *_ in trial.recorder.evaluations] == [4, 7]


def test_every_epoch_is_kept_if_configured(tmp_path: Path) -> None:
    trial = create(tmp_path, steps=None, epochs=2, keep_every_epoch=True, data_order="shuffled", shared="one")
    assert len(RISING) // (LENGTH + 1) // 4 == trial.loop.size.steps_per_epoch == 10
    position = trial.run()
    assert (position.step, position.epoch, position.batch) == (20, 2, 0)
    assert {path.name for path in (tmp_path / "epochs").glob("*.index")} == {"ckpt-1.index", "ckpt-2.index"}


def test_small_split_is_trained_on_in_fewer_rows(tmp_path: Path) -> None:
    assert create(tmp_path, train=RISING[:60]).loop.size.rows == 12 // windows.MIN_WINDOWS_IN_A_STREAM
    assert create(tmp_path, train=RISING[:12], data_order="shuffled").loop.size.rows == 2


@pytest.mark.parametrize(
    ("clip_norm", "advice"), [(1.0, "or training.clip_norm."), (0.0, "Set training.clip_norm to 1")]
)
def test_divergence_is_reported_with_the_settings_to_change(clip_norm: float, advice: str, tmp_path: Path) -> None:
    trial = create(tmp_path, learning_rate=1e38, clip_norm=clip_norm)
    received = re.escape(f"training.learning_rate=1e+38, training.clip_norm={clip_norm}")
    with pytest.raises(UserError, match=rf"diverged.*{advice}.*{received}"):
        trial.run()
    assert len(trial.recorder.losses) < 12


CONTIGUOUS: dict[str, Any] = {
    "train": NOISE[:180],
    "documents": (100, 80),
    "clip_norm": 0.05,  # less than the gradient's norm: it has to be that of all devices together
    "epsilon": 0.01,  # large enough for Adam to notice the size of a gradient
    "early_stopping": 0,
    "schedule": "cosine",
    "sampled_softmax": 2,
}
ONE_WINDOW: dict[str, Any] = {"train": NOISE[: LENGTH + 1], "data_order": "shuffled", "steps": 3}


def result(trial: Trial) -> dict[str, Any]:
    position = trial.run()
    return {
        "losses": trial.recorder.losses,
        "best": position.best_loss,
        "evaluation": trial.loop.evaluate(),
        "weights": np.concatenate([weight.ravel() for weight in trial.weights]).tolist(),
    }


def on_two_devices() -> dict[str, Any]:
    hardware.split_cpu(2)
    strategy = hardware.choose("mirrored", "float32", logical_cpus=2).strategy
    assert strategy.num_replicas_in_sync == 2
    with tempfile.TemporaryDirectory() as temporary:
        at = Path(temporary)
        with contextlib.suppress(Killed):
            create(at / "resumed", strategy, **CONTIGUOUS, kill_at=7, shared="one").run()
        return {
            "through": result(create(at / "through", strategy, **CONTIGUOUS, shared="one")),
            "resumed": result(create(at / "resumed", strategy, **CONTIGUOUS)),
            "one window": result(create(at / "one window", strategy, **ONE_WINDOW)),
        }


@pytest.fixture(scope="module")
def two_devices() -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}
    environment.pop("TF_CONFIG", None)
    ran = subprocess.run([warm.python(), __file__], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.numeric
@pytest.mark.parametrize(("case", "changes"), [("through", CONTIGUOUS), ("one window", ONE_WINDOW)])
def test_two_devices_train_as_one(
    tmp_path: Path, two_devices: dict[str, Any], case: str, changes: dict[str, Any]
) -> None:
    trial = create(tmp_path, **changes)
    one, two = result(trial), two_devices[case]
    # Each step rounds its gradient, the longest way to which has some hundred operations, and moves a weight by no more
    # than about the learning rate. Ten times that, for later steps continue from what earlier ones did.
    rounding = numeric.relative(100)
    assert one["losses"] == pytest.approx(two["losses"], rel=rounding)
    moved = 10 * len(one["losses"]) * 0.02 * rounding
    np.testing.assert_allclose(one["weights"], two["weights"], atol=moved, rtol=rounding)
    assert (one["best"], two["best"]) == (one["evaluation"], two["evaluation"])
    if case == "through":
        assert one["best"] == pytest.approx(two["best"], rel=rounding)
        return
    # Two devices read the eval split in two streams where one row would do, so its middle is read from nothing.
    middle = len(NOISE) // 2
    halves = [NOISE[: middle + 1], NOISE[middle:]]
    assert middle % LENGTH == 0
    weights = np.split(np.array(two["weights"]), np.cumsum([weight.size for weight in trial.weights])[:-1])
    for variable, weight in zip(trial.model.trainable_variables, weights, strict=True):
        variable.assign(weight.reshape(variable.shape))
    numeric.close(two["evaluation"], sum(nats(trial.model, half) for half in halves) / (len(NOISE) - 1))


def test_two_devices_resume_as_one_does(two_devices: dict[str, Any]) -> None:
    through, resumed = two_devices["through"], two_devices["resumed"]
    assert resumed["losses"] == through["losses"][4:]
    assert resumed["weights"] == through["weights"]
    assert resumed["evaluation"] == through["best"]


if __name__ == "__main__":
    print(json.dumps(on_two_devices()))
