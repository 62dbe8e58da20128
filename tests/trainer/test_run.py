"""The parts of `run_fn` that decide what is trained again and which worker writes; tests/test_e2e.py runs all of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.models import training
from pipeline.config.parameters import TrainerParameters
from pipeline.config.run import ExportConfig
from pipeline.config.training import ModelConfig, TrainingConfig
from trainer import fitting, run
from trainer.data.documents import Split
from trainer.plan import record
from trainer.warm_start import SourceModel
from transform.vocabulary import Vocabulary

pytestmark = pytest.mark.integration

VOCABULARY = Vocabulary(tuple(map(ord, "\nabc")))
PARAMETERS = TrainerParameters(
    sources="digest",
    export_sources="another digest",
    seed=1,
    model_name="char_rnn",
    model=ModelConfig(units=4),
    training=TrainingConfig(steps=10),
    export=ExportConfig(num_chars=5),
    checkpoints="some directory",
    registry="another directory",
)


def changed(**values: Any) -> TrainerParameters:
    """Change values by their names, with two underscores between section and key."""
    made = PARAMETERS.model_dump()
    for name, value in values.items():
        section, _, key = name.partition("__")
        if key:
            made[section][key] = value
        else:
            made[section] = value
    return TrainerParameters.model_validate(made)


def split(text: str) -> Split:
    return Split(("one",), np.array([len(text)]), np.array(VOCABULARY.encode(text), np.uint8))


def key(parameters: TrainerParameters = PARAMETERS, train: str = "abcabc", evaluation: str = "abc") -> str:
    return run._key(parameters, fitting.digest_data(VOCABULARY, split(train), split(evaluation)), None)


@pytest.mark.parametrize(
    "values",
    [{"seed": 2}, {"sources": "edited"}, {"model__units": 5}, {"training__steps": 11}]
    + [{"normalization": "nfc"}, {"fold_case": True}],
    ids=str,
)
def test_value_that_decides_the_model_is_in_the_key(values: dict[str, Any]) -> None:
    assert key(changed(**values)) != key()


def test_every_value_of_model_and_training_but_the_listed_ones_is_in_the_key() -> None:
    with_defaults = json.loads(PARAMETERS.model_dump_json())
    in_key: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "digest", in_key.update)
        run._key(PARAMETERS, "data", None)
    left_out = {"log_every", "sample_chars", "measured_chars", "checkpoint_seconds", "memory_limit_chars"}
    left_out |= {"steps_per_call"}
    assert set(in_key) == {"sources", "seed", "model", "training", "data", "source_model", "normalization", "fold_case"}
    assert in_key["model"] == with_defaults["model"]
    assert set(with_defaults["training"]) - set(in_key["training"]) == left_out


def test_source_model_of_a_warm_start_is_in_the_key_by_its_content() -> None:
    data = fitting.digest_data(VOCABULARY, split("abcabc"), split("abc"))
    sources = [None, SourceModel("here", 1, "some"), SourceModel("here", 1, "other")]
    assert len({run._key(PARAMETERS, data, source) for source in sources}) == 3
    assert run._key(PARAMETERS, data, SourceModel("elsewhere", 2, "some")) == run._key(PARAMETERS, data, sources[1])


@pytest.mark.parametrize(
    "values",
    [{"export__top_k": 3}, {"training__measured_chars": 9}, {"export_sources": "edited"}, {"model_name": "another"}],
    ids=str,
)
def test_value_of_the_export_exports_again_and_trains_nothing(values: dict[str, Any]) -> None:
    assert key(changed(**values)) == key()
    assert run._export_key(changed(**values)) != run._export_key(PARAMETERS)


def test_reporting_is_not_in_the_key() -> None:
    assert key(changed(training__sample_chars=7, training__log_every=1)) == key()


def test_keeping_every_epoch_is_in_the_key_because_earlier_epochs_were_not_kept() -> None:
    assert key(changed(training__keep_every_epoch=True)) != key()


def test_data_are_in_the_key_and_directories_are_not() -> None:
    assert key(train="abcabb") != key()
    assert key(evaluation="abb") != key()
    assert key(changed(checkpoints="elsewhere", registry="elsewhere")) == key()


@pytest.mark.parametrize("logged", [True, False])
def test_statements_of_a_training_are_in_the_artifact_with_and_without_logs(tmp_path: Path, logged: bool) -> None:
    (tmp_path / "training").mkdir()
    record.write(str(tmp_path / "training"), chosen := {"training.steps": {"value": 7, "reason": "a few"}})
    training.describe(str(tmp_path / "training"), steps=7)
    if logged:
        (tmp_path / "training" / "tensorboard").mkdir()
        (tmp_path / "training" / "tensorboard" / "events").touch()
    run._copy_logs(str(tmp_path / "training"), str(tmp_path / "model_run"))
    assert record.read(str(tmp_path / "model_run")) == chosen
    assert training.read(str(tmp_path / "model_run")) == training.Training(steps=7)
    assert (tmp_path / "model_run" / "events").exists() == logged
