"""Every configuration value of a run, with its unit, its meaning and its default.

The defaults are the preset `quick`. A file in `pipeline/presets/` holds only what differs, and `--set` comes last;
`pipeline.config.overrides` joins the three. All values are frozen, typed and checked; an unknown key is an error.
"""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, model_validator

from pipeline.config.cluster import ClusterSettings
from pipeline.config.corpus import CorpusConfig
from pipeline.config.section import Section
from pipeline.config.serving import PositiveInt, ServingSettings
from pipeline.config.training import MEASURED_STEPS, ModelConfig, TrainingConfig, TunerConfig


class VocabularyConfig(Section):
    """Which characters get their own id. All others share the out-of-vocabulary id."""

    # Number of characters, the most frequent ones. None: all.
    max_size: PositiveInt | None = None
    # Occurrences in the train split that a character must have at least.
    min_count: PositiveInt = 1


class ValidationConfig(Section):
    """What happens to new text that differs from the text of the last blessed model."""

    # What a run does whose text has drifted: stop before it trains, warn and train, or off, compare nothing. Compared
    # are characters, lengths of lines and documents, unknown characters and repeated passages, with the thresholds in
    # `components/validate/schema/text.pbtxt`. Of spans, only those that the last blessed model was not trained on.
    drift: Literal["stop", "warn", "off"] = "warn"


class EvaluationConfig(Section):
    """When a model is blessed."""

    # Highest perplexity of a blessed model. auto: the perplexity of a character trigram model.
    threshold: Literal["auto"] | PositiveFloat = "auto"
    # Highest relative increase of perplexity over the last blessed model.
    max_increase: NonNegativeFloat = 0.02
    # Also report the perplexity of each document.
    by_document: bool = True
    # Highest share of the spans of 50 characters in `training.measured_chars` that may occur verbatim in the training
    # text; a text without such spans counts as 0. None: no bound, the shares are only reported.
    max_copied: Annotated[float, Field(ge=0.0, le=1.0)] | None = None


class ExportConfig(Section):
    """Defaults and limits of the exported OneStep SavedModel."""

    # Characters that a request without a number gets (signature `serving_default`).
    num_chars: Annotated[int, Field(ge=1, le=100_000)] = 300
    # Temperature of a request without one.
    temperature: PositiveFloat = 0.8
    # Sample from this many most probable characters only, in a request without this number. 0: from all.
    top_k: NonNegativeInt = 0
    # Characters that one request may ask for at most.
    max_chars: Annotated[int, Field(ge=100)] = 100_000
    # Characters that one `score` request may hold at most: the number of texts times the length of the longest, to
    # which all are padded.
    max_score_chars: Annotated[int, Field(ge=100)] = 500_000
    # Characters that a request which generates may ask for at most: the number of rows times the greatest number of
    # characters, where one row may always ask for `max_chars`; and the same for its prompts.
    max_batch_chars: Annotated[int, Field(ge=100)] = 2_000_000
    # Highest temperature that a request may ask for; the text is noise long before this default.
    max_temperature: PositiveFloat = 100.0
    # Type of the matrix products when serving. bfloat16 is faster with large batches only.
    precision: Literal["float32", "bfloat16"] = "float32"


class Config(Section):
    """One run of the pipeline."""

    # Name of the model and of its lineage: each has its own registry and serving directory.
    model_name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")] = "char_rnn"
    # Directory for everything that a run writes.
    root: str = Field("output", min_length=1)
    # Models are pushed to <serving_dir>/<model_name>/<version>, where TF Serving reads them. None: <root>/serving.
    serving_dir: str | None = None
    # Seed of initialization, dropout, shuffling and sampling.
    seed: Annotated[int, Field(ge=0, lt=2_000_000_000)] = 42
    # Additional arguments of every Beam pipeline, for example another runner.
    beam_args: tuple[str, ...] = ()
    corpus: CorpusConfig = CorpusConfig()
    validation: ValidationConfig = ValidationConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    tuner: TunerConfig = TunerConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    export: ExportConfig = ExportConfig()
    serving: ServingSettings = ServingSettings()
    cluster: ClusterSettings = ClusterSettings()

    @model_validator(mode="after")
    def _check_consistency(self) -> "Config":
        training = self.training
        if (training.steps is None) == (training.epochs is None):
            raise ValueError(
                "training.steps and training.epochs: exactly one of them must be given, the other must be none. "
                f"Received: training.steps={training.steps}, training.epochs={training.epochs}"
            )
        if training.max_minutes and training.schedule == "cosine" and training.warmup_steps < MEASURED_STEPS:
            raise ValueError(
                f"training.max_minutes measures the machine's speed in the first {MEASURED_STEPS} steps, which must be "
                "part of the warm-up: raise training.warmup_steps, set training.schedule=constant or set "
                "training.max_minutes=none. "
                f"Received: training.max_minutes={training.max_minutes}, training.warmup_steps={training.warmup_steps}"
            )
        if self.model.tied and self.model.embedding != self.model.units:
            raise ValueError(
                "model.tied uses the embedding matrix as the output matrix, so both must have the same size. "
                f"Received: model.embedding={self.model.embedding}, model.units={self.model.units}"
            )
        if training.logical_cpus > 1 and training.strategy != "mirrored":
            raise ValueError(
                "training.logical_cpus above 1 needs training.strategy=mirrored. "
                f"Received: training.logical_cpus={training.logical_cpus}, training.strategy={training.strategy}"
            )
        if training.sequence_length != "auto" and training.sequence_length >= self.corpus.passage_length * 10:
            raise ValueError(
                "training.sequence_length is in characters and must be less than ten passages. "
                f"Received: {training.sequence_length} with corpus.passage_length={self.corpus.passage_length}"
            )
        if self.corpus.eval_fraction + self.corpus.test_fraction > 0.6:
            raise ValueError(
                "corpus.eval_fraction and corpus.test_fraction leave too little to train on: together at most 0.6. "
                f"Received: {self.corpus.eval_fraction} and {self.corpus.test_fraction}"
            )
        if self.export.num_chars > self.export.max_chars:
            raise ValueError(
                "export.num_chars is the default of a request and must not exceed its limit, export.max_chars. "
                f"Received: export.num_chars={self.export.num_chars}, export.max_chars={self.export.max_chars}"
            )
        if self.evaluation.max_copied is not None and not training.measured_chars:
            raise ValueError(
                "evaluation.max_copied bounds what training.measured_chars measures, which must not be 0 then. "
                f"Received: evaluation.max_copied={self.evaluation.max_copied}, training.measured_chars=0"
            )
        if self.export.temperature > self.export.max_temperature:
            raise ValueError(
                "export.temperature must not exceed export.max_temperature. "
                f"Received: export.temperature={self.export.temperature}, "
                f"export.max_temperature={self.export.max_temperature}"
            )
        return self
