"""The values that the pipeline passes are validated, and nothing else is accepted."""

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.config.parameters import TrainerParameters, TunerParameters
from pipeline.config.run import Config

DIRECTORIES = {"checkpoints": "c", "registry": "r", "sources": "s"}


def values(*sections: str, **more: Any) -> dict[str, Any]:
    return {**Config().model_dump(include={"seed", "model", "training", *sections}), **DIRECTORIES, **more}


def test_sections_of_the_configuration_are_accepted() -> None:
    trainer = TrainerParameters.model_validate(values("export", "model_name", export_sources="e"))
    assert trainer.training == Config().training
    assert trainer.export == Config().export
    tuner = TunerParameters.model_validate(values("tuner", tuner_sources="t"))
    assert tuner.tuner == Config().tuner


@pytest.mark.parametrize("change", [{"model": {"unit": 4}}, {"training": {"steps": "10"}}, {"extra": 1}], ids=str)
def test_unknown_or_mistyped_value_is_rejected(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        TunerParameters.model_validate(values("tuner", tuner_sources="t", **change))
