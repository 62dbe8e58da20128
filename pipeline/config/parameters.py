"""What the pipeline passes to `run_fn` and `tuner_fn` as `custom_config`, validated into typed sections."""

from typing import Any, Literal

from pipeline.config.run import ExportConfig
from pipeline.config.section import Section
from pipeline.config.training import ModelConfig, TrainingConfig, TunerConfig

# Values of the section `training` that do not change the weights: reporting, memory and how often it is saved.
_DECIDE_NOTHING = {"log_every", "sample_chars", "measured_chars", "checkpoint_seconds", "memory_limit_chars"}
_DECIDE_NOTHING |= {"steps_per_call"}


class FitParameters(Section):
    """What decides how a model is fitted to data."""

    seed: int
    model: ModelConfig
    training: TrainingConfig


class ComponentParameters(FitParameters):
    """What the Trainer and the Tuner have in common."""

    checkpoints: str  # directory of checkpoints and finished exports
    registry: str  # directory of blessed models, for a warm start
    normalization: Literal["nfc"] | None = None  # of the corpus, and therefore of the served model's inputs
    fold_case: bool = False  # the same
    sources: str  # digest of the code that trains

    def decisive(self) -> dict[str, Any]:
        """Return what decides the trained weights, besides the data: configuration and code."""
        return self.model_dump(
            include={"sources": True, "seed": True, "model": True, "training": True}
            | {"normalization": True, "fold_case": True},
            exclude={"training": _DECIDE_NOTHING},
        )


class TrainerParameters(ComponentParameters):
    """`custom_config` of the Trainer."""

    export: ExportConfig
    model_name: str
    export_sources: str  # digest of the code that exports


class TunerParameters(ComponentParameters):
    """`custom_config` of the Tuner."""

    tuner: TunerConfig
    tuner_sources: str  # digest of the code that searches
