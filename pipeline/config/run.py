"""Every value that a run can be given, with its meaning, its unit and its default.

The defaults are the `quick` preset. A preset file in `pipeline/presets/` holds only what differs, and `--set` comes
last; `pipeline.config.overrides` joins the three. All values are frozen, typed and checked; an unknown key is an error.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.cluster import ClusterSettings
from pipeline.config.section import Section
from pipeline.config.serving import ServingSettings

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0.0)]


class CorpusConfig(Section):
    """What is read and how it is cut."""

    source: str = Field("shakespeare", min_length=1)  # a known name, a path, a directory, a glob or a URL
    checksum: str | None = (
        None  # SHA-256 of a single-file corpus, in hexadecimal; None: known corpora are checked all the same
    )
    min_chars: PositiveInt = 2_000  # characters; a smaller corpus is refused before anything starts
    passage_length: Annotated[int, Field(ge=100, le=100_000)] = 2_000  # characters to predict in one record
    eval_fraction: Annotated[float, Field(gt=0.0, le=0.5)] = 0.1  # of every document, its last part (before `test`)
    test_fraction: Annotated[float, Field(ge=0.0, le=0.4)] = 0.0  # of every document, the very end; 0: no such split


class VocabularyConfig(Section):
    """Which characters get an id of their own; all others share the out-of-vocabulary id."""

    max_size: PositiveInt | None = None  # the most frequent characters only; None: all
    min_count: PositiveInt = 1  # occurrences in the train split


class ModelConfig(Section):
    """The recurrent language model."""

    cell: Literal["rnn", "gru", "lstm", "layer_norm_lstm"] = "gru"
    embedding: PositiveInt = 64  # size of a character's vector
    initial_embedding: PositiveFloat | None = (
        None  # the vectors begin with numbers between -this and this; None: 1, or 0.05 (Keras') if tied
    )
    units: PositiveInt = 512  # recurrent units in each layer
    layers: Annotated[int, Field(ge=1, le=8)] = 1
    tied: bool = False  # the embedding is the output's matrix as well; needs embedding = units
    dropout: Fraction = 0.0  # on the embedding, between the layers and before the output
    input_dropout: Fraction | None = None  # on the embedding; None: as dropout
    layer_dropout: Fraction | None = None  # between the layers; None: as dropout
    output_dropout: Fraction | None = None  # before the output; None: as dropout
    recurrent_dropout: Fraction = 0.0  # on the recurrent path, the same for all characters of a window (variational)


class TrainingConfig(Section):
    """How the model is fitted."""

    data_order: Literal["contiguous", "shuffled"] = (
        "contiguous"  # carried state (truncated BPTT), or independent windows
    )
    batch_size: PositiveInt = 64  # windows in one step over all devices; shrinks for a small corpus
    sequence_length: Annotated[int, Field(ge=2)] = 100  # characters in a window
    shuffle_buffer: PositiveInt = 10_000  # windows; used by data_order "shuffled" only
    steps: PositiveInt | None = 1_000  # optimiser steps; give either this or epochs
    epochs: PositiveInt | None = None  # passes over the train split
    warm_start: bool = False  # begin from the newest blessed model of other data, as far as its weights fit
    optimizer: Literal["adamw", "adam"] = "adamw"
    learning_rate: PositiveFloat = 4e-3  # the peak
    schedule: Literal["cosine", "constant"] = "cosine"  # cosine falls to learning_rate * final_fraction
    final_fraction: Annotated[float, Field(ge=0.0, le=1.0)] = 0.02
    warmup_steps: NonNegativeInt = 50  # linear; cosine only
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.01  # adamw only, on matrices and not on biases
    beta_2: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.99  # decay of the second moment
    epsilon: PositiveFloat = 1e-8  # added to the root of the second moment
    clip_norm: Annotated[float, Field(ge=0.0)] = 1.0  # global norm of the gradient; 0: no clipping
    eval_every: PositiveInt | None = 250  # steps between evaluations; None: once an epoch
    early_stopping: NonNegativeInt = 5  # evaluations without a better loss before training stops; 0: never
    restore_best: bool = True  # export the weights of the best eval loss instead of the last ones
    checkpoint_seconds: PositiveInt = 30  # at most this much work is lost to a kill; also one at every evaluation
    keep_every_epoch: bool = False  # keep a checkpoint of every epoch beside the newest
    sample_chars: NonNegativeInt = 300  # characters of generated text shown at every evaluation in TensorBoard; 0: none
    log_every: PositiveInt = 20  # steps between TensorBoard scalars
    precision: Literal["auto", "float32", "bfloat16", "float16"] = (
        "auto"  # of the matrix products; weights stay float32
    )
    strategy: Literal["auto", "one_device", "mirrored"] = "auto"  # auto: by hardware and TF_CONFIG
    logical_cpus: PositiveInt = 1  # split the CPU into so many devices; only with strategy "mirrored" and no GPU
    deterministic: bool = False  # deterministic kernels on GPUs; on a CPU the same seed gives the same result anyway
    memory_limit_chars: PositiveInt = 200_000_000  # a split with more characters is kept as a file and mapped


class TunerConfig(Section):
    """A search for better hyperparameters before training; the space is in `trainer/hyperparameters.py`."""

    enabled: bool = False
    trials: PositiveInt = 12  # models that are tried
    steps: PositiveInt = 200  # optimiser steps of a trial


class EvaluationConfig(Section):
    """When a model is blessed."""

    threshold: Literal["auto"] | PositiveFloat = "auto"  # highest perplexity; auto: that of a character trigram model
    max_increase: Annotated[float, Field(ge=0.0)] = 0.02  # relative, over the perplexity of the last blessed model
    by_document: bool = True  # report each document on its own as well


class ExportConfig(Section):
    """What the exported OneStep SavedModel does when a request says nothing (signature `serving_default`)."""

    num_chars: Annotated[int, Field(ge=1, le=100_000)] = 300
    temperature: PositiveFloat = 0.8
    top_k: NonNegativeInt = 0  # 0: all characters
    max_chars: Annotated[int, Field(ge=100)] = 100_000  # most characters one request may ask for
    max_temperature: PositiveFloat = 100.0  # highest temperature one request may ask for; above it a text is noise
    precision: Literal["float32", "bfloat16"] = "float32"  # of the served products; bfloat16 pays with large batches


class Config(Section):
    """One run of the pipeline."""

    model_name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")] = "char_rnn"  # a lineage of its own
    root: str = Field("output", min_length=1)  # everything a run leaves behind
    serving_dir: str | None = None  # TF Serving reads <serving_dir>/<model_name>/<version>; None: <root>/serving
    seed: Annotated[int, Field(ge=0, lt=2_000_000_000)] = 42
    beam_args: tuple[str, ...] = ()  # more arguments for every Beam pipeline, e.g. a runner
    corpus: CorpusConfig = CorpusConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    tuner: TunerConfig = TunerConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    export: ExportConfig = ExportConfig()
    serving: ServingSettings = ServingSettings()
    cluster: ClusterSettings = ClusterSettings()

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        training = self.training
        if (training.steps is None) == (training.epochs is None):
            raise ValueError(
                "training.steps and training.epochs: exactly one of them must be given, the other must be none. "
                f"Received: training.steps={training.steps}, training.epochs={training.epochs}"
            )
        if self.model.tied and self.model.embedding != self.model.units:
            raise ValueError(
                "model.tied uses the embedding as the output's matrix, so both must have the same size. "
                f"Received: model.embedding={self.model.embedding}, model.units={self.model.units}"
            )
        if training.logical_cpus > 1 and training.strategy != "mirrored":
            raise ValueError(
                "training.logical_cpus above 1 needs training.strategy=mirrored. "
                f"Received: training.logical_cpus={training.logical_cpus}, training.strategy={training.strategy}"
            )
        if training.sequence_length >= self.corpus.passage_length * 10:
            raise ValueError(
                "training.sequence_length is in characters and may not exceed ten passages. "
                f"Received: {training.sequence_length} with corpus.passage_length={self.corpus.passage_length}"
            )
        if self.corpus.eval_fraction + self.corpus.test_fraction > 0.6:
            raise ValueError(
                "corpus.eval_fraction and corpus.test_fraction leave too little to train on: together at most 0.6. "
                f"Received: {self.corpus.eval_fraction} and {self.corpus.test_fraction}"
            )
        if self.export.num_chars > self.export.max_chars:
            raise ValueError(
                "export.num_chars is what a request gets that says nothing and may not exceed export.max_chars. "
                f"Received: export.num_chars={self.export.num_chars}, export.max_chars={self.export.max_chars}"
            )
        if self.export.temperature > self.export.max_temperature:
            raise ValueError(
                "export.temperature may not exceed export.max_temperature. "
                f"Received: export.temperature={self.export.temperature}, "
                f"export.max_temperature={self.export.max_temperature}"
            )
        return self
