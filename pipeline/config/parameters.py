"""What the pipeline passes to `run_fn` and `tuner_fn` as `custom_config`, validated into typed sections."""

from pipeline.config.run import ExportConfig, ModelConfig, TrainingConfig, TunerConfig
from pipeline.config.section import Section


class FitParameters(Section):
    """What decides how a model is fitted to data."""

    seed: int
    model: ModelConfig
    training: TrainingConfig


class _ComponentParameters(FitParameters):
    checkpoints: str  # directory of checkpoints and finished exports
    registry: str  # directory of blessed models, for a warm start
    sources: str  # digest of the code that trains


class TrainerParameters(_ComponentParameters):
    """`custom_config` of the Trainer."""

    export: ExportConfig
    model_name: str
    export_sources: str  # digest of the code that exports


class TunerParameters(_ComponentParameters):
    """`custom_config` of the Tuner."""

    tuner: TunerConfig
    tuner_sources: str  # digest of the code that searches; TFX's cache needs it
