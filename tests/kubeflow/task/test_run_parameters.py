"""Parameters of a run: parsed before it is sent, applied in its tasks."""

import doctest
import json
from typing import Any

import pytest

from components.errors import UserError
from kubeflow.task import run_parameters
from pipeline.config.run import TrainingConfig


def test_docstring_examples_are_true() -> None:
    assert doctest.testmod(run_parameters).failed == 0


def task(overrides: str) -> dict[str, Any]:
    """Return the parameters of a Trainer."""
    custom = {"training": TrainingConfig().model_dump(), "seed": 1}
    return {"training_overrides": overrides, "custom_config": json.dumps(custom)}


def test_training_values_of_a_run_replace_the_compiled_ones() -> None:
    parameters = task('{"steps": 7, "learning_rate": 0.5}')
    run_parameters.apply(parameters)
    assert parameters.keys() == {"custom_config"}
    assert json.loads(parameters["custom_config"]) == {
        "training": TrainingConfig(steps=7, learning_rate=0.5).model_dump(),
        "seed": 1,
    }


def test_parameters_of_a_task_without_overrides_are_unchanged() -> None:
    parameters = {"custom_config": '{"sources": "x"}'}
    run_parameters.apply(parameters)
    assert parameters == {"custom_config": '{"sources": "x"}'}


def test_epochs_of_a_run_replace_the_compiled_steps() -> None:
    merged = run_parameters.override(TrainingConfig().model_dump(), '{"epochs": 3}')
    assert (merged["steps"], merged["epochs"]) == (None, 3)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ("steps=3", "Expecting value"),
        ("[1]", "not a JSON object"),
        ('{"stepps": 3}', "stepps"),
        ('{"steps": 0}', "steps"),
        ('{"steps": null}', "exactly one"),
        ('{"strategy": "mirrored", "logical_cpus": 2}', "local machine"),
    ],
)
def test_invalid_training_values_are_explained_in_the_task_and_before_it(overrides: str, reason: str) -> None:
    message = f"`training` cannot be used.*{reason}.*Received: training="
    with pytest.raises(UserError, match=message):
        run_parameters.apply(task(overrides))
    with pytest.raises(UserError, match=message):
        run_parameters.parse([f"training={overrides}"], TrainingConfig())


def test_valid_parameters_are_returned_by_name() -> None:
    assert run_parameters.parse([], TrainingConfig()) == {}
    given = ["corpus=https://example.org/?a=b", 'training={"epochs": 2}']
    expected = {"corpus": "https://example.org/?a=b", "training": '{"epochs": 2}'}
    assert run_parameters.parse(given, TrainingConfig()) == expected


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("corpus= ", "`corpus` names no text"),
        ("steps=3", "corpus and training.*steps=3"),
        ("corpus", "Received: corpus"),
    ],
)
def test_other_invalid_parameters_are_explained(option: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        run_parameters.parse([option], TrainingConfig())
