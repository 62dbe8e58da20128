"""The defaults are valid, and a configuration that could not work is refused when it is made."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from pipeline.config import Config, CorpusConfig, EvaluationConfig, ExportConfig, ModelConfig, TrainingConfig


def sections(section: type[BaseModel]) -> list[type[BaseModel]]:
    inner = [field.annotation for field in section.model_fields.values()]
    nested = [kind for kind in inner if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return [section, *(deeper for kind in nested for deeper in sections(kind))]


def test_every_default_satisfies_its_own_rule() -> None:
    defaults = Config()
    assert Config.model_validate(defaults.model_dump()) == defaults


@pytest.mark.parametrize("section", sections(Config))
def test_no_section_takes_a_key_that_it_does_not_know(section: type[BaseModel]) -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        section.model_validate({"no_such_key": 1})


@pytest.mark.parametrize("section", sections(Config))
def test_no_section_can_be_changed_afterwards(section: type[BaseModel]) -> None:
    made = section()
    name = next(iter(section.model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(made, name, getattr(made, name))


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (CorpusConfig, {"source": ""}),
        (CorpusConfig, {"min_chars": 0}),
        (CorpusConfig, {"passage_length": 99}),
        (CorpusConfig, {"passage_length": 100_001}),
        (CorpusConfig, {"eval_fraction": 0.0}),
        (CorpusConfig, {"eval_fraction": 0.51}),
        (CorpusConfig, {"test_fraction": -0.1}),
        (ModelConfig, {"cell": "transformer"}),
        (ModelConfig, {"layers": 0}),
        (ModelConfig, {"layers": 9}),
        (ModelConfig, {"units": 1.5}),
        (ModelConfig, {"units": "512"}),  # a text is not a number
        (ModelConfig, {"units": True}),
        (ModelConfig, {"dropout": 1.0}),
        (TrainingConfig, {"sequence_length": 1}),
        (TrainingConfig, {"learning_rate": 0.0}),
        (TrainingConfig, {"learning_rate": float("nan")}),
        (TrainingConfig, {"learning_rate": float("inf")}),
        (TrainingConfig, {"final_fraction": 1.1}),
        (TrainingConfig, {"beta_2": 1.0}),
        (TrainingConfig, {"precision": "float8"}),
        (EvaluationConfig, {"threshold": "automatic"}),
        (EvaluationConfig, {"threshold": 0.0}),
        (EvaluationConfig, {"max_increase": -0.01}),
        (ExportConfig, {"num_chars": 0}),
        (ExportConfig, {"temperature": 0.0}),
        (ExportConfig, {"temperature": 100.1}),
        (ExportConfig, {"top_k": -1}),
        (ExportConfig, {"max_chars": 99}),  # the infra check asks for some
        (Config, {"seed": -1}),
        (Config, {"seed": 2**31}),
        (Config, {"root": ""}),
        (Config, {"model_name": "1st"}),
        (Config, {"model_name": "../elsewhere"}),
        (Config, {"model_name": "a" * 64}),
    ],
)
def test_a_value_out_of_its_range_is_refused_by_name(section: type[BaseModel], values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        section.model_validate(values)
    assert {error["loc"][0] for error in refused.value.errors()} == set(values)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"training": {"steps": 10, "epochs": 1}}, ["training.steps=10", "training.epochs=1"]),
        ({"training": {"steps": None}}, ["training.steps=None", "training.epochs=None"]),
        ({"training": {"logical_cpus": 2}}, ["training.logical_cpus=2", "training.strategy=auto"]),
        ({"training": {"sequence_length": 1_000}, "corpus": {"passage_length": 100}}, ["1000", "passage_length=100"]),
        ({"corpus": {"eval_fraction": 0.5, "test_fraction": 0.2}}, ["0.5 and 0.2"]),
        (
            {"model": {"tied": True, "embedding": 64, "units": 128}},
            ["model.embedding=64", "model.units=128"],
        ),
        ({"export": {"num_chars": 200, "max_chars": 100}}, ["export.num_chars=200", "export.max_chars=100"]),
    ],
)
def test_values_that_contradict_each_other_are_refused_with_what_came(values: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(ValidationError) as refused:
        Config.model_validate(values)
    for words in named:
        assert words in str(refused.value)


@pytest.mark.parametrize(
    "values",
    [
        {"training": {"steps": None, "epochs": 1}},
        {"training": {"logical_cpus": 2, "strategy": "mirrored"}},
        {"training": {"sequence_length": 999}, "corpus": {"passage_length": 100}},
        {"corpus": {"eval_fraction": 0.3, "test_fraction": 0.3}},
        {"export": {"num_chars": 200, "max_chars": 200}},
    ],
)
def test_values_at_the_edge_of_a_contradiction_are_accepted(values: dict[str, Any]) -> None:
    made = Config.model_validate(values)
    assert made.model_dump(include={key: set(inner) for key, inner in values.items()}) == values
