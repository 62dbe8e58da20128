"""A search over real short trainings: every trial counts once, and a killed search resumes."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.config.overrides import load
from pipeline.config.parameters import TunerParameters
from trainer import fitting, hardware, tuning
from trainer.data.documents import Split
from transform.vocabulary import Vocabulary

pytestmark = pytest.mark.integration

VOCABULARY = Vocabulary(tuple(map(ord, "\nabc")))


class Killed(BaseException):
    """Raised in the middle of a search; not an Exception, which KerasTuner would count as a failed trial."""


@pytest.fixture(autouse=True)
def _small_space(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer import hyperparameters

    monkeypatch.setattr(hyperparameters, "UNITS", (4, 8, 4))
    monkeypatch.setattr(hyperparameters, "EMBEDDING", (2, 4))


def parameters(*changes: str, **own: str) -> TunerParameters:
    settings = ["model.units=4", "model.embedding=2", "training.batch_size=4", "training.sequence_length=10"]
    settings += ["training.eval_every=none", "training.precision=float32", "tuner.trials=3", "tuner.steps=6"]
    settings += changes
    sections = load("quick", settings).model_dump(include={"seed", "model", "training", "tuner"})
    given = {"checkpoints": "", "registry": "", "sources": "", "tuner_sources": "", **own}
    return TunerParameters.model_validate({**sections, **given})


def text() -> fitting.Data:
    def split(length: int) -> Split:
        ids = np.random.default_rng(length).integers(4, size=length).astype(np.uint8)
        return Split(("one",), np.array([length]), ids)

    train, evaluation = split(400), split(60)
    return fitting.Data(VOCABULARY, train, evaluation, fitting.digest_data(VOCABULARY, train, evaluation))


def search(directory: Path) -> tuning.Search:
    return tuning.Search(parameters(), hardware.choose("auto", "float32", 1), text(), str(directory))


def test_best_trial_has_the_lowest_eval_loss(tmp_path: Path) -> None:
    tuner = search(tmp_path)
    tuner.search()
    trials = list(tuner.oracle.trials.values())
    assert len(trials) == 3
    assert trials[0].hyperparameters.values["model.units"] == 4  # the configured value
    best = tuner.get_best_hyperparameters()[0]
    assert best.values == min(trials, key=lambda trial: trial.score).hyperparameters.values
    assert all(0.5 < trial.score < 3.0 for trial in trials)


def test_killed_search_resumes_and_repeats_no_finished_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, tried = fitting.fit, list[str]()

    def fit(*arguments: Any, **more: Any) -> Any:
        tried.append(arguments[3])
        if len(tried) == 2:
            raise Killed
        return real(*arguments, **more)

    monkeypatch.setattr(fitting, "fit", fit)
    with pytest.raises(Killed):
        search(tmp_path).search()
    again = search(tmp_path)
    again.search()
    assert len(again.oracle.trials) == 3
    assert tried[1] == tried[2]  # the interrupted trial, from its own checkpoints
    assert len(set(tried)) == 3


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that returns the directory of the search for these parameters."""
    monkeypatch.setattr(fitting, "load", lambda *_: text())

    def of(*changes: str, **own: str) -> str:
        given = parameters(*changes, checkpoints=str(tmp_path), **own)
        tuner = tuning.tuner_fn(SimpleNamespace(custom_config=given.model_dump())).tuner
        return str(tuner._directory)

    return of


@pytest.mark.parametrize("code", ["sources", "tuner_sources"])
def test_edited_code_searches_again(directory: Any, code: str) -> None:
    assert directory(**{code: "edited"}) != directory()


@pytest.mark.parametrize(
    "change", ["seed=7", "model.layers=2", "training.batch_size=5", "tuner.trials=4", "tuner.steps=7"]
)
def test_value_that_decides_the_trials_searches_again(directory: Any, change: str) -> None:
    assert directory(change) != directory()


@pytest.mark.parametrize(
    "change", ["training.steps=7", "training.epochs=2", "training.sample_chars=7", "training.checkpoint_seconds=7"]
)
def test_value_without_effect_on_the_trials_reuses_the_search(directory: Any, change: str) -> None:
    assert directory(change) == directory()


def test_other_data_are_searched_again(directory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = directory()
    monkeypatch.setattr(fitting, "load", lambda *_: dataclasses.replace(text(), data_digest="another"))
    assert directory() != before
