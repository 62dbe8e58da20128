"""Parameters of a run: parsed before it is sent, applied in its tasks."""

import contextlib
import doctest
import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from components import evaluate, lean_imports
from components.errors import UserError
from kubeflow.task import run_parameters
from pipeline.config import overrides
from pipeline.config.run import Config, EvaluationConfig, ExportConfig
from pipeline.config.training import ModelConfig, TrainingConfig


def test_docstring_examples_are_true() -> None:
    assert doctest.testmod(run_parameters).failed == 0


def task(**given: str) -> dict[str, Any]:
    """Return the parameters of a Trainer in a run with these parameters."""
    config = Config()
    custom = {"seed": 1, "checkpoints": "/c", **config.model_dump(include={"model", "training", "export", "tuner"})}
    parameters = {f"run_{name}": given.get(name, "{}") for name in run_parameters.SECTIONS}
    parameters |= {"run_preset": given.get("preset", ""), "compiled": run_parameters.compiled(config)}
    return parameters | {"custom_config": json.dumps(custom)}


def applied(**given: str) -> dict[str, Any]:
    parameters = task(**given)
    run_parameters.apply(parameters)
    assert parameters.keys() == {"custom_config"}
    return dict(json.loads(parameters["custom_config"]))


def test_values_of_a_run_replace_the_compiled_ones() -> None:
    given = {"training": '{"steps": 7, "learning_rate": 0.5}', "model": '{"units": 3}', "export": '{"top_k": 4}'}
    assert applied(**given) == {
        "seed": 1,
        "checkpoints": "/c",
        "training": TrainingConfig(steps=7, learning_rate=0.5).model_dump(),
        "model": ModelConfig(units=3).model_dump(),
        "export": ExportConfig(top_k=4).model_dump(),
        "tuner": Config().tuner.model_dump(),
    }


def test_parameters_of_a_run_without_values_are_unchanged() -> None:
    """An empty field of the user interface is an empty text."""
    unchanged = json.loads(task()["custom_config"])
    assert applied() == applied(training="", model="", preset="") == unchanged
    parameters = {"custom_config": '{"sources": "x"}'}
    run_parameters.apply(parameters)
    assert parameters == {"custom_config": '{"sources": "x"}'}


def test_preset_replaces_model_training_and_export_and_further_values_are_applied_to_it() -> None:
    custom = applied(preset="tutorial", training='{"steps": 5}')
    tutorial = overrides.load("tutorial", ["training.steps=5"])
    for section in ("model", "training", "export"):
        assert custom[section] == getattr(tutorial, section).model_dump(), section


def test_epochs_of_a_run_replace_the_compiled_steps() -> None:
    training = applied(training='{"epochs": 3}')["training"]
    assert (training["steps"], training["epochs"]) == (None, 3)


def test_values_of_the_evaluation_replace_those_of_the_evaluator(monkeypatch: pytest.MonkeyPatch) -> None:
    """`test_evaluator` has the function that joins them, whose module imports TFMA."""
    stub = SimpleNamespace(with_settings=lambda config, **values: json.dumps({"before": config, **values}))
    monkeypatch.setattr(lean_imports, "one_task", contextlib.nullcontext)
    monkeypatch.setitem(sys.modules, "components.evaluate.evaluator", stub)
    monkeypatch.setattr(evaluate, "evaluator", stub, raising=False)
    parameters = task(evaluation='{"threshold": 5}') | {"eval_config": "compiled"}
    del parameters["custom_config"]
    run_parameters.apply(parameters)
    assert parameters.keys() == {"eval_config"}
    assert json.loads(parameters["eval_config"]) == {
        "before": "compiled",
        **EvaluationConfig(threshold=5.0).model_dump(),
    }


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("training", "steps=3", r"training should be a JSON object \(Expecting value.*Received: training=steps=3"),
        ("model", "[1]", r'model should be a JSON object .*\{"units": 256\}. Received: model=\[1\]'),
        ("training", '{"stepps": 3}', "Did you mean training.steps.* Received: training.stepps"),
        ("training", '{"steps": 0}', "training.steps should be greater than or equal to 1 or 'auto'. Received"),
        ("training", '{"steps": "many"}', "training.steps should be a valid integer.*'many'"),
        ("training", '{"steps": null}', "exactly one of them must be given"),
        ("training", '{"strategy": "mirrored", "logical_cpus": 2}', "local machine only"),
        ("training", '{"sequence_length": 20000}', "less than ten passages"),
        ("model", '{"tied": true}', "model.tied .* same size"),
        ("evaluation", '{"threshold": "low"}', "evaluation.threshold should be .*'auto' or.*Received: .*'low'"),
        ("evaluation", '{"max_increase": -1}', "evaluation.max_increase should be greater than or equal to 0"),
        ("export", '{"num_chars": 200000}', "export.num_chars should be less than or equal to 100000"),
        pytest.param("model", "[" * 100_000, "model should be a JSON object .*recursion", id="nested too deeply"),
        # It has nothing for a run, which would have the default model instead of the compiled one.
        ("preset", "spot", "preset should be some of: best, .*Received: preset=spot"),
        ("preset", "fast", "preset should be some of: best, .*Received: preset=fast"),
    ],
)
def test_invalid_value_is_explained_in_the_first_task_and_before_it(name: str, value: str, reason: str) -> None:
    message = f"The run's parameters cannot be used: .*{reason}"
    ingest = task(**{name: value}) | {"input_base": "sample"}
    with pytest.raises(UserError, match=message):
        run_parameters.apply(ingest)
    with pytest.raises(UserError, match=message):
        run_parameters.parse([f"{name}={value}"], Config())


def test_valid_parameters_are_returned_by_name() -> None:
    assert run_parameters.parse([], Config()) == {}
    given = ["corpus=http://h.example/?a=b", 'training={"epochs": 2}', 'evaluation={"threshold": 5.5}', "preset=best"]
    assert run_parameters.parse(given, Config()) == {
        "corpus": "http://h.example/?a=b",
        "training": '{"epochs": 2}',
        "evaluation": '{"threshold": 5.5}',
        "preset": "best",
    }


def test_values_that_are_not_given_are_the_compiled_ones() -> None:
    config = Config(evaluation=EvaluationConfig(threshold=4.0), training=TrainingConfig(batch_size=3))
    resolved = run_parameters.resolve(config, {"evaluation": '{"max_increase": 0.1}', "training": '{"steps": 2}'})
    assert resolved.evaluation == EvaluationConfig(threshold=4.0, max_increase=0.1)
    assert resolved.training == TrainingConfig(batch_size=3, steps=2)


def test_parameter_that_is_given_twice_is_refused() -> None:
    """The first one would be lost."""
    with pytest.raises(UserError, match=r'given once: .*Received: --param training=\{"steps": 2\} --param training='):
        run_parameters.parse(['training={"steps": 2}', 'training={"learning_rate": 1}'], Config())


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("corpus= ", "`corpus` names no text"),
        ("steps=3", "corpus, preset, model, training, export, evaluation,.*steps=3"),
        ("corpus", "Received: corpus"),
    ],
)
def test_other_invalid_parameters_are_explained(option: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        run_parameters.parse([option], Config())
