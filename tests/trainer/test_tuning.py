"""A search over real short trainings: every trial counts once, and a killed search resumes."""

from pathlib import Path
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


def parameters() -> TunerParameters:
    settings = ["model.units=4", "model.embedding=2", "training.batch_size=4", "training.sequence_length=10"]
    settings += ["training.eval_every=none", "training.precision=float32", "tuner.trials=3", "tuner.steps=6"]
    sections = load("quick", settings).model_dump(include={"seed", "model", "training", "tuner"})
    own = {"checkpoints": "", "registry": "", "sources": "", "tuner_sources": ""}
    return TunerParameters.model_validate({**sections, **own})


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
