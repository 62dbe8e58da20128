"""Fit one model to the data: what the Trainer does once and the Tuner many times."""

import hashlib
import json
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components.errors import UserError
from pipeline.config.run import ModelConfig
from trainer import checkpoint, hardware, optimizer, warm_start
from trainer.checkpoint import Checkpoints, Position
from trainer.data import documents, windows
from trainer.loop import Loop
from trainer.model import LanguageModel
from trainer.progress import LOGGER, Reporter, perplexity
from transform.preprocessing import VOCABULARY_NAME
from transform.vocabulary import Vocabulary


@dataclass(frozen=True)
class Data:
    """What a model learns from.

    Attributes:
      vocabulary: of the train split.
      train, evaluation: the splits as ids.
      learned: digest of all of it.
    """

    vocabulary: Vocabulary
    train: documents.Split
    evaluation: documents.Split
    learned: str


def load(fn_args: Any, memory_limit: int) -> Data:
    """Read the splits that TFX hands to a Trainer or Tuner.

    Args:
      fn_args: TFX's `FnArgs`.
      memory_limit: characters of a split above which it is kept as a file and mapped.

    Raises:
      UserError: the vocabulary is empty, or a split has nothing to predict.
    """
    transform_output = tft.TFTransformOutput(fn_args.transform_graph_path)
    try:
        vocabulary = Vocabulary.from_tokens(transform_output.vocabulary_by_name(VOCABULARY_NAME))
    except ValueError as error:
        raise UserError(f"{error} Lower it.") from error
    spec = transform_output.transformed_feature_spec()
    train = documents.load(fn_args.train_files, spec, vocabulary.size, memory_limit)
    evaluation = documents.load(fn_args.eval_files, spec, vocabulary.size, memory_limit)
    if not evaluation.targets or not train.targets:
        raise UserError("The corpus is too small: one of its splits has no character to predict. Give a longer text.")
    return Data(vocabulary, train, evaluation, learned(vocabulary, train, evaluation))


def learned(vocabulary: Vocabulary, train: documents.Split, evaluation: documents.Split) -> str:
    """Digest of the data that a model learns from."""
    return digest({"data": [train.digest(vocabulary), evaluation.digest(vocabulary)]})


def digest(values: dict[str, Any]) -> str:
    """Digest of values that JSON can write."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def fit(
    config: dict[str, Any],
    machine: hardware.Hardware,
    text: Data,
    directory: str,
    chief: bool,
    beginning: warm_start.Beginning | None = None,
) -> tuple[LanguageModel, Position]:
    """Train a model to its end, from the newest checkpoint in the directory if there is one.

    Args:
      config: `seed` and the sections `model` and `training` of the configuration.
      directory: for checkpoints and TensorBoard.
      chief: whether this process writes the results.
      beginning: a model whose weights to begin with.
    """
    training, seed = config["training"], config["seed"]
    if training["deterministic"]:
        tf.config.experimental.enable_op_determinism()
    cut = windows.contiguous if training["data_order"] == "contiguous" else windows.independent
    train_windows = cut(text.train.ids, text.train.lengths, training["sequence_length"])
    eval_windows = windows.contiguous(text.evaluation.ids, text.evaluation.lengths, training["sequence_length"])

    with machine.strategy.scope():
        tf.random.set_seed(seed)
        model = LanguageModel(
            text.vocabulary.size,
            **config["model"],
            seed=seed,
            precision=machine.precision,
            stock_layer=machine.stock_layer,
        )
        if beginning:
            misfit = warm_start.apply(model, text.vocabulary, beginning)
            LOGGER.info(
                f"no warm start from version %s: {misfit}" if misfit else "warm start from version %s",
                beginning.version,
            )
        replicas = machine.strategy.num_replicas_in_sync
        total_steps = Loop.count_steps(training, train_windows, replicas)
        optimiser = optimizer.create(training, total_steps, replicas, machine.precision)
        optimiser.build(model.weights_to_train)
        loop = Loop(training, seed, machine.strategy, model, optimiser, train_windows, eval_windows)

    parameters = sum(int(np.prod(variable.shape)) for variable in model.weights_to_train)
    LOGGER.info(
        "%s; %s parameters, %s characters to learn", machine.description, f"{parameters:,}", f"{text.train.targets:,}"
    )
    # Checkpoints fit the machine and the TensorFlow that wrote them; on another, training begins anew.
    fitting = f"{machine.precision}-{loop.batch_size}x{replicas}-tensorflow-{tf.__version__}"
    saved = os.path.join(directory, fitting)
    if chief:
        checkpoint.describe(saved, text.vocabulary, ModelConfig(**config["model"]), training["restore_best"])
    checkpoints = Checkpoints(saved, model, optimiser, loop.batch_size, chief, training["keep_every_epoch"])
    writer = tf.summary.create_file_writer(os.path.join(directory, "tensorboard")) if chief else None
    reporter = Reporter(loop.total_steps, training["log_every"], writer)
    position = loop.run(checkpoints, reporter, sampler(model, text.vocabulary, training["sample_chars"], seed))
    LOGGER.info(
        "trained %s steps; best eval loss %.4f nats (perplexity %.3f) at step %s",
        f"{position.step:,}",
        position.best_loss,
        perplexity(position.best_loss),
        f"{position.best_step:,}",
    )
    return model, position


def sampler(model: LanguageModel, vocabulary: Vocabulary, count: int, seed: int) -> Any:
    """Text of `count` characters for TensorBoard, drawn at temperature 0.8; None if none is wanted."""
    if not count:
        return None
    step_of = tf.function(lambda ids, state: model(ids, state), autograph=False)

    def sample(step: int) -> str:
        random = np.random.default_rng([seed, step])
        state, written, character = model.zero_state(1), [], vocabulary.encode("\n")[0]
        for _ in range(count):
            logits, state = step_of(tf.constant([[character]], tf.int32), state)
            scaled = logits.numpy()[0, 0, :-1].astype(np.float64) / 0.8  # without the out-of-vocabulary id
            odds = np.exp(scaled - scaled.max())
            character = int(random.choice(len(odds), p=odds / odds.sum()))
            written.append(character)
        return vocabulary.decode(written)

    return sample
