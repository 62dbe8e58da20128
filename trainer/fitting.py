"""Fit one model to the data: once in the Trainer, many times in the Tuner."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components.errors import UserError
from components.evaluate import perplexity
from components.models import training as account
from pipeline.config.parameters import ComponentParameters, FitParameters
from pipeline.config.run import Config
from pipeline.config.training import TrainingConfig
from trainer import checkpoint, hardware, optimizer, warm_start
from trainer.checkpoint import Checkpoints, Position
from trainer.data import documents, unigram, windows
from trainer.loop import Loop
from trainer.model import LanguageModel
from trainer.plan import budget, choices, record, sizes
from trainer.progress import LOGGER, Reporter
from transform.preprocessing import VOCABULARY_NAME
from transform.vocabulary import Vocabulary

_Parameters = TypeVar("_Parameters", bound=FitParameters)
_MEASURED_CHARS = 2_000_000  # of the train split, which are copied into memory


class Fitted(NamedTuple):
    """A trained model, where its training ended, the loop that trained it, and the values that it used."""

    model: LanguageModel
    position: Position
    loop: Loop
    training: TrainingConfig


@dataclass(frozen=True)
class Data:
    """What a model is trained and evaluated on.

    Attributes:
      vocabulary: of the train split.
      train, evaluation: the splits as ids.
      data_digest: of vocabulary and splits.
    """

    vocabulary: Vocabulary
    train: documents.Split
    evaluation: documents.Split
    data_digest: str


def load(fn_args: Any, parameters: ComponentParameters) -> Data:
    """Read the splits that TFX passes to a Trainer or Tuner.

    Args:
      fn_args: TFX's `FnArgs`.
      parameters: `training.memory_limit_chars`, above which splits are memory-mapped files, and the normalization that
        the texts have.

    Raises:
      UserError: the vocabulary is empty, or a split has no character to predict.
    """
    transform_output = tft.TFTransformOutput(fn_args.transform_graph_path)
    try:
        vocabulary = Vocabulary.from_tokens(transform_output.vocabulary_by_name(VOCABULARY_NAME))
    except ValueError as error:
        raise UserError(f"{error} Lower it.") from error
    vocabulary = replace(vocabulary, normalization=parameters.normalization, fold_case=parameters.fold_case)
    memory_limit = parameters.training.memory_limit_chars
    spec = transform_output.transformed_feature_spec()
    train = documents.load(fn_args.train_files, spec, vocabulary.size, memory_limit)
    evaluation = documents.load(fn_args.eval_files, spec, vocabulary.size, memory_limit)
    if not evaluation.targets or not train.targets:
        raise UserError("The corpus is too small: one of its splits has no character to predict. Give a longer text.")
    return Data(vocabulary, train, evaluation, digest_data(vocabulary, train, evaluation))


def digest_data(vocabulary: Vocabulary, train: documents.Split, evaluation: documents.Split) -> str:
    """Return a digest of the data that decide a model."""
    return digest({"data": [train.digest(vocabulary), evaluation.digest(vocabulary)]})


def digest(values: dict[str, Any]) -> str:
    """Return a digest of values that JSON can represent."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def choose(parameters: FitParameters | Config, text: Data, stock_layer: bool = False) -> list[choices.Choice]:
    """Choose the values of `trainer.plan.choices.model_and_batch` for the data."""
    known = text.vocabulary
    _, targets = windows.documents(text.train.ids, text.train.lengths, known.end_of_document)
    length = choices.window_length(targets)
    return choices.model_and_batch(
        parameters, text.train.targets, known.size, stock_layer, max(1, len(targets)), length
    )


def resolve(
    parameters: _Parameters, machine: hardware.Hardware, text: Data
) -> tuple[_Parameters, list[choices.Choice]]:
    """Replace "auto" by values for the data, other than those that only decide how long training lasts."""
    chosen = choose(parameters, text, machine.stock_layer)
    return choices.apply(parameters, chosen), chosen


def fit(
    parameters: FitParameters,
    machine: hardware.Hardware,
    text: Data,
    directory: str,
    chief: bool,
    source: warm_start.SourceModel | None = None,
) -> Fitted:
    """Train a model to its end, from the newest checkpoint in the directory if there is one.

    Args:
      directory: for checkpoints and TensorBoard.
      chief: whether this process writes the results.
      source: a model whose weights training starts from.
    """
    parameters, chosen = resolve(parameters, machine, text)
    training, seed = parameters.training, parameters.seed
    if training.deterministic:
        tf.config.experimental.enable_op_determinism()
    cut = windows.contiguous if training.data_order == "contiguous" else windows.independent
    length, end = int(training.sequence_length), text.vocabulary.end_of_document
    train_windows = cut(text.train.ids, text.train.lengths, length, end)
    eval_windows = windows.contiguous(text.evaluation.ids, text.evaluation.lengths, length, end)
    replicas, vocabulary = machine.strategy.num_replicas_in_sync, text.vocabulary.size
    size = sizes.measure(training, train_windows, eval_windows, replicas, vocabulary)

    with machine.strategy.scope():
        tf.random.set_seed(seed)
        model = LanguageModel(
            vocabulary,
            **parameters.model.model_dump(),
            seed=seed,
            precision=machine.precision,
            stock_layer=machine.stock_layer,
        )
        if training.initial_bias == "frequencies":
            counts = unigram.count(text.train.ids, vocabulary)
            model.projection.bias.assign(unigram.log_frequencies(counts))
        if source:
            _start_from(model, text.vocabulary, source)
        total_steps = choices.count_steps(training, size)
        limit = decay_steps = None
        if training.max_minutes:
            limit = budget.TimeLimit(training, total_steps, size)
            decay_steps = tf.Variable(1.0, trainable=False)
        built = optimizer.create(training, total_steps, replicas, machine.precision, decay_steps)
        built.build(model.weights_to_train)
        loop = Loop(training, seed, machine.strategy, model, built, train_windows, eval_windows, limit, decay_steps)

    count = sum(int(np.prod(variable.shape)) for variable in model.weights_to_train)
    LOGGER.info(
        "%s; %s parameters, %s training characters", machine.description, f"{count:,}", f"{text.train.targets:,}"
    )
    # Checkpoints fit one kind of machine and one TensorFlow; on another, training starts from the beginning.
    kind = f"{machine.precision}-{loop.size.rows}x{replicas}-tensorflow-{tf.__version__}"
    saved = os.path.join(directory, kind)
    if chief:
        checkpoint.describe(saved, text.vocabulary, parameters.model, training.restore_best)
        checkpoint.delete_incomplete(saved)
    checkpoints = Checkpoints(saved, model, built, loop.size.rows, chief, training.keep_every_epoch)
    writer = tf.summary.create_file_writer(os.path.join(directory, "tensorboard")) if chief else None
    reporter = Reporter(loop.plan.steps, training.log_every, writer)
    reporter.choices(chosen)
    with account.timed(directory) if chief else contextlib.nullcontext():
        position = loop.run(checkpoints, reporter, sampler(model, text.vocabulary, training.sample_chars, seed))
    if chief:
        record.write(directory, reporter.chosen)
        account.describe(
            directory,
            steps=position.step,
            network=f"{parameters.model.cell} {parameters.model.layers}x{parameters.model.units}",
            parameters=count,
            hardware=machine.description,
            **_frequencies(text),
        )
    LOGGER.info(
        "trained %s steps; best eval loss %.4f nats (perplexity %.3f) at step %s",
        f"{position.step:,}",
        position.best_loss,
        perplexity.from_nats(position.best_loss),
        f"{position.best_step:,}",
    )
    return Fitted(model, position, loop, training)


def losses(fitted: Fitted, text: Data) -> tuple[float, float]:
    """Return nats per character of the train and of the eval split, without dropout and with the state carried.

    Of the train split, the end of each document is measured, in all as long as the eval split, but at most two million
    characters. All processes that train together must call this.
    """
    measured = min(text.evaluation.targets, text.train.targets, _MEASURED_CHARS)
    ids, lengths = documents.ends(text.train, measured / text.train.targets)
    length, end = int(fitted.training.sequence_length), text.vocabulary.end_of_document
    train = fitted.loop.evaluate(windows.contiguous(ids, lengths, length, end))
    # The weights with the best eval loss have been measured already.
    return train, fitted.position.best_loss if fitted.training.restore_best else fitted.loop.evaluate()


def _frequencies(text: Data) -> dict[str, Any]:
    known = text.vocabulary
    counts = unigram.count(text.train.ids, known.size).tolist()
    return {"frequencies": dict(zip(known.characters, counts)), "unknown": counts[known.out_of_vocabulary]}


def _start_from(model: LanguageModel, vocabulary: Vocabulary, source: warm_start.SourceModel) -> None:
    mismatch = warm_start.apply(model, vocabulary, source)
    if mismatch:
        LOGGER.info("no warm start from version %s: %s", source.version, mismatch)
    else:
        LOGGER.info("warm start from version %s", source.version)


def sampler(model: LanguageModel, vocabulary: Vocabulary, count: int, seed: int) -> Callable[[int], str] | None:
    """Return a function that samples `count` characters at temperature 0.8 for TensorBoard; None if `count` is 0."""
    if not count:
        return None
    step_of = tf.function(lambda ids, state: model(ids, state), autograph=False)

    def sample(step: int) -> str:
        random = np.random.default_rng([seed, step])
        state, ids, last = model.zero_state(1), [], vocabulary.start
        for _ in range(count):
            if last == vocabulary.end_of_document:
                state = model.zero_state(1)
            logits, state = step_of(tf.constant([[last]], tf.int32), state)
            scaled = logits.numpy()[0, 0, :-1].astype(np.float64) / 0.8  # without the out-of-vocabulary id
            weights = np.exp(scaled - scaled.max())
            last = int(random.choice(len(weights), p=weights / weights.sum()))
            ids.append(last)
        return vocabulary.decode(ids)

    return sample
