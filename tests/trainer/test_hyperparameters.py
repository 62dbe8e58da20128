"""The Tuner's search space, and how its result is applied."""

from typing import Any

import pytest

from pipeline.config.parameters import FitParameters
from pipeline.config.run import Config
from trainer import hyperparameters


def parameters(**changes: Any) -> FitParameters:
    values = Config().model_dump(include=set(FitParameters.model_fields))
    values["model"]["output_dropout"] = None
    values["training"]["weight_decay"] = 0.01
    for name, value in changes.items():
        section, key = name.split("__")
        values[section][key] = value
    return FitParameters.model_validate(values)


@pytest.mark.integration
def test_first_trial_is_the_configuration() -> None:
    chosen = hyperparameters.space(parameters(model__units=512, training__learning_rate=4e-3)).values
    assert chosen["model.units"] == 512
    assert chosen["training.learning_rate"] == pytest.approx(4e-3)
    assert chosen["model.dropout"] == 0.0


@pytest.mark.integration
def test_configured_value_outside_of_the_space_starts_at_the_nearest_one() -> None:
    far = parameters(model__units=3_000, model__embedding=50, model__dropout=0.93, training__learning_rate=1.0)
    chosen = hyperparameters.space(far).values
    assert (chosen["model.units"], chosen["model.embedding"], chosen["model.dropout"]) == (1024, 64, 0.5)
    assert chosen["training.learning_rate"] == hyperparameters.LEARNING_RATE[1]


@pytest.mark.integration
def test_values_without_effect_are_not_searched() -> None:
    assert {"model.dropout", "training.weight_decay"} <= set(hyperparameters.space(parameters()).values)
    adam = hyperparameters.space(parameters(training__optimizer="adam")).values
    assert "training.weight_decay" not in adam
    own = hyperparameters.space(parameters(model__output_dropout=0.4)).values
    assert own["model.output_dropout"] == pytest.approx(0.4)
    assert "model.dropout" not in own


@pytest.mark.integration
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model__tied": True},
        {"model__input_dropout": 0.1, "model__output_dropout": 0.1, "training__optimizer": "adam"},
    ],
    ids=str,
)
def test_every_searched_value_changes_the_model_or_the_optimizer(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hyperparameters, "UNITS", (4, 8, 4))
    config = parameters(model__units=4, model__embedding=4, **changes)
    for searched in hyperparameters.space(config).space:
        other = next(filter(lambda value: value != searched.default, map(searched.random_sample, range(100))))
        found = [{"values": {searched.name: value}} for value in (searched.default, other)]
        one, another = (_effect(hyperparameters.apply_hyperparameters(config, values)) for values in found)
        assert one != another, searched.name


def _effect(config: FitParameters) -> str:
    """What training uses of the model's and the optimizer's values."""
    from trainer import optimizer
    from trainer.model import LanguageModel

    model = LanguageModel(5, **config.model.model_dump(), seed=0)
    shapes = [tuple(weight.shape) for weight in model.weights_to_train]
    made = optimizer.create(config.training, total_steps=10, replicas=1, precision="float32")
    return repr((shapes, model.dropouts, made.get_config()))


@pytest.mark.integration
def test_every_name_is_in_the_configuration() -> None:
    config = parameters()
    for name in hyperparameters.space(config).values:
        section, key = name.split(".")
        assert hasattr(getattr(config, section), key)


def test_only_found_values_are_replaced() -> None:
    config = parameters()
    found = {"values": {"model.units": 768, "training.learning_rate": 0.002, "tuner/epochs": 3, "unknown.key": 1}}
    changed = hyperparameters.apply_hyperparameters(config, found)
    assert changed == parameters(model__units=768, training__learning_rate=0.002)
    assert config == parameters()


def test_without_a_tuner_the_configuration_is_unchanged() -> None:
    config = parameters()
    assert hyperparameters.apply_hyperparameters(config, None) is config


def test_tied_model_keeps_embedding_and_units_equal() -> None:
    changed = hyperparameters.apply_hyperparameters(
        parameters(model__tied=True), {"values": {"model.units": 256, "model.embedding": 16}}
    )
    assert changed.model.embedding == 256
