"""Every configuration value of a run, with its unit, its meaning and its default.

The defaults are the preset `quick`. A file in `pipeline/presets/` holds only what differs, and `--set` comes last;
`pipeline.config.overrides` joins the three. All values are frozen, typed and checked; an unknown key is an error.
"""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, model_validator

from pipeline.config.cluster import ClusterSettings
from pipeline.config.corpus import CorpusConfig, Fraction
from pipeline.config.section import Section
from pipeline.config.serving import PositiveInt, ServingSettings


class VocabularyConfig(Section):
    """Which characters get their own id. All others share the out-of-vocabulary id."""

    # Number of characters, the most frequent ones. None: all.
    max_size: PositiveInt | None = None
    # Occurrences in the train split that a character must have at least.
    min_count: PositiveInt = 1


class ModelConfig(Section):
    """The recurrent language model."""

    # Type of the recurrent cell.
    cell: Literal["rnn", "gru", "lstm", "layer_norm_lstm"] = "gru"
    # Size of a character's embedding vector.
    embedding: PositiveInt = 64
    # Initial embeddings are uniform between -x and x. None: 1, or Keras' 0.05 if `model.tied`.
    initial_embedding: PositiveFloat | None = None
    # Recurrent units in each layer.
    units: PositiveInt = 512
    # Recurrent layers.
    layers: Annotated[int, Field(ge=1, le=8)] = 1
    # Use the embedding matrix as the output matrix, too. `model.embedding` must then equal `model.units`.
    tied: bool = False
    # Dropout rate of the embedding, between the layers and before the output.
    dropout: Fraction = 0.0
    # Dropout rate of the embedding. None: `model.dropout`.
    input_dropout: Fraction | None = None
    # Dropout rate between the layers. None: `model.dropout`.
    layer_dropout: Fraction | None = None
    # Dropout rate before the output. None: `model.dropout`.
    output_dropout: Fraction | None = None
    # Dropout rate of the recurrent connections, with one mask for all characters of a window (variational dropout).
    recurrent_dropout: Fraction = 0.0


class TrainingConfig(Section):
    """How the model is trained."""

    # contiguous: consecutive windows that carry the state (truncated BPTT). shuffled: independent windows.
    data_order: Literal["contiguous", "shuffled"] = "contiguous"
    # Windows in one step, over all devices together. A small corpus reduces it.
    batch_size: PositiveInt = 64
    # Characters in a window.
    sequence_length: Annotated[int, Field(ge=2)] = 100
    # Windows in the shuffle buffer; only with `training.data_order` shuffled.
    shuffle_buffer: PositiveInt = 10_000
    # Optimizer steps. Set either this or `training.epochs`; setting one of them unsets the other.
    steps: PositiveInt | None = 1_000
    # Passes over the train split. None: `training.steps` decides.
    epochs: PositiveInt | None = None
    # Start from the newest blessed model of other data, with every weight that fits.
    warm_start: bool = False
    # Keras' optimizer.
    optimizer: Literal["adamw", "adam"] = "adamw"
    # Peak learning rate.
    learning_rate: PositiveFloat = 4e-3
    # cosine: linear warm-up, then half a cosine down to `training.final_fraction` of the peak. constant: the peak.
    schedule: Literal["cosine", "constant"] = "cosine"
    # Last learning rate as a fraction of the peak; cosine only.
    final_fraction: Annotated[float, Field(ge=0.0, le=1.0)] = 0.02
    # Steps of linear warm-up; cosine only.
    warmup_steps: NonNegativeInt = 50
    # Weight decay of the matrices; biases have none. adamw only.
    weight_decay: NonNegativeFloat = 0.01
    # Decay rate of the optimizer's second moment.
    beta_2: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.99
    # Added to the square root of the second moment.
    epsilon: PositiveFloat = 1e-8
    # Gradients with a larger global norm are scaled down to it. 0: no clipping.
    clip_norm: NonNegativeFloat = 1.0
    # Steps between evaluations. None: once an epoch.
    eval_every: PositiveInt | None = 250
    # Evaluations without a better loss after which training stops. 0: never.
    early_stopping: NonNegativeInt = 5
    # Export the weights with the best eval loss, not the last ones.
    restore_best: bool = True
    # Seconds between checkpoints, that is, the most work that a killed run loses. Every evaluation saves one, too.
    checkpoint_seconds: PositiveInt = 30
    # Keep a checkpoint of every epoch as well as the newest one.
    keep_every_epoch: bool = False
    # Characters of generated text that TensorBoard shows at every evaluation. 0: none.
    sample_chars: NonNegativeInt = 300
    # Steps between TensorBoard scalars.
    log_every: PositiveInt = 20
    # Type of the matrix products; weights stay float32. auto: the fastest type that the device supports well.
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    # Distribution strategy. auto: by the number of GPUs, and by the workers in TF_CONFIG.
    strategy: Literal["auto", "one_device", "mirrored"] = "auto"
    # Logical devices that a CPU is split into, without a GPU. More than 1 needs `training.strategy` mirrored.
    logical_cpus: PositiveInt = 1
    # Use deterministic kernels on GPUs. On a CPU the same seed always gives the same result.
    deterministic: bool = False
    # A split with more characters than this is memory-mapped from a file.
    memory_limit_chars: PositiveInt = 200_000_000


class TunerConfig(Section):
    """A search for better hyperparameters before training. `trainer/hyperparameters.py` holds the search space."""

    # Run the search.
    enabled: bool = False
    # Models to train.
    trials: PositiveInt = 12
    # Optimizer steps of each trial.
    steps: PositiveInt = 200


class EvaluationConfig(Section):
    """When a model is blessed."""

    # Highest perplexity of a blessed model. auto: the perplexity of a character trigram model.
    threshold: Literal["auto"] | PositiveFloat = "auto"
    # Highest relative increase of perplexity over the last blessed model.
    max_increase: NonNegativeFloat = 0.02
    # Also report the perplexity of each document.
    by_document: bool = True


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
        if training.sequence_length >= self.corpus.passage_length * 10:
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
        if self.export.temperature > self.export.max_temperature:
            raise ValueError(
                "export.temperature must not exceed export.max_temperature. "
                f"Received: export.temperature={self.export.temperature}, "
                f"export.max_temperature={self.export.max_temperature}"
            )
        return self
