"""The model, its training, and the search for better values of both. `pipeline.config.run` joins them to a `Config`."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat

from pipeline.config.corpus import Fraction
from pipeline.config.section import Section
from pipeline.config.serving import PositiveInt

Auto = Literal["auto"]  # chosen by `trainer.plan`
MEASURED_STEPS = 20  # that measure the speed of the machine, for `training.max_minutes`


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
    # Dropout rate before the output. auto: the less text, the higher. None: `model.dropout`.
    output_dropout: Fraction | Auto | None = "auto"
    # Dropout rate of the recurrent connections, with one mask for all characters of a window (variational dropout).
    # auto: the less text, the higher; 0 on a GPU, whose fast layer has none.
    recurrent_dropout: Fraction | Auto = "auto"


class TrainingConfig(Section):
    """How the model is trained."""

    # contiguous: consecutive windows that carry the state (truncated BPTT). shuffled: independent windows.
    data_order: Literal["contiguous", "shuffled"] = "contiguous"
    # Windows in one step, over all devices together. A small corpus reduces it. auto: the less text, the fewer,
    # and the shorter the windows, the more.
    batch_size: PositiveInt | Auto = "auto"
    # Characters in a window. auto: 100; fewer where most documents are shorter, because no window has two documents.
    sequence_length: Annotated[int, Field(ge=2)] | Auto = "auto"
    # Windows in the shuffle buffer; only with `training.data_order` shuffled.
    shuffle_buffer: PositiveInt = 10_000
    # Optimizer steps. auto: by the amount of text. Set either this or `training.epochs`; setting one of them unsets the
    # other, and a number of steps or epochs unsets the `training.max_minutes` of a preset.
    steps: PositiveInt | Auto | None = "auto"
    # Passes over the train split. None: `training.steps` decides.
    epochs: PositiveInt | None = None
    # Minutes that training may take. The first 20 steps measure the machine, and the number of steps, with the learning
    # rates, is lowered to what fits. None: no limit. The preset `quick` has one.
    max_minutes: PositiveFloat | None = None
    # Start from the newest blessed model of other data, with every weight that fits.
    warm_start: bool = False
    # Initial biases of the output. frequencies: logarithms of the characters' frequencies in the train split.
    # auto: frequencies if the vocabulary has more than 4,000 ids, otherwise zero.
    initial_bias: Literal["frequencies", "zero"] | Auto = "auto"
    # Characters, sampled by frequency, that estimate the softmax in a training step; evaluation and the export always
    # have the full softmax. 0: the full softmax. auto: 511 if the vocabulary has more than 4,000 ids, otherwise 0.
    sampled_softmax: NonNegativeInt | Auto = "auto"
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
    # Weight decay of the matrices; biases have none. adamw only. auto: from the data.
    weight_decay: NonNegativeFloat | Auto = "auto"
    # Decay rate of the optimizer's second moment.
    beta_2: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.99
    # Added to the square root of the second moment.
    epsilon: PositiveFloat = 1e-8
    # Gradients with a larger global norm are scaled down to it. 0: no clipping.
    clip_norm: NonNegativeFloat = 1.0
    # Steps between evaluations. auto: for a dozen evaluations, fewer where they take long. None: once an epoch.
    eval_every: PositiveInt | Auto | None = "auto"
    # Evaluations without a better loss after which training stops. 0: never. auto: a quarter of the evaluations.
    early_stopping: NonNegativeInt | Auto = "auto"
    # Export the weights with the best eval loss, not the last ones.
    restore_best: bool = True
    # Seconds between checkpoints, that is, the most work that a killed run loses. Every evaluation saves one, too.
    checkpoint_seconds: PositiveInt = 30
    # Keep a checkpoint of every epoch as well as the newest one.
    keep_every_epoch: bool = False
    # Characters of generated text that TensorBoard shows at every evaluation. 0: none.
    sample_chars: NonNegativeInt = 300
    # Characters that the trained model generates at temperature 1, to measure how much of them is copied from the
    # training text. 0: neither that nor the gap between train and eval loss is measured.
    measured_chars: Annotated[int, Field(ge=0, le=10_000_000)] = 20_000
    # Steps between TensorBoard scalars.
    log_every: PositiveInt = 20
    # Type of the matrix products; weights stay float32. auto: the fastest type that the device supports well.
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    # Steps that run without the host between them; the result does not depend on it. A call ends before that at an
    # evaluation, at the end of an epoch, and while a time limit is measured. auto: as many as take a quarter of a
    # second, at most 64.
    steps_per_call: PositiveInt | Auto = "auto"
    # Compile forward and backward pass with XLA, for one device. auto: on a CPU where batch size times units is at most
    # 2,048 and the train split has at least 100,000 characters: there, starting operations takes longer than running
    # them.
    jit_compile: bool | Auto = "auto"
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
