"""`run_fn`: what the TFX Trainer calls."""

import hashlib
import json
import os
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from tfx.utils import io_utils

from components.errors import UserError
from trainer import data, export, hardware, optimizer, restore, trigram, warm_start, windows
from trainer.checkpoint import Checkpoints
from trainer.loop import Loop
from trainer.model import LanguageModel
from trainer.progress import LOGGER, Reporter, perplexity
from transform.preprocessing import VOCABULARY_NAME
from transform.vocabulary import Vocabulary


def run_fn(fn_args: Any) -> None:
    """Train the language model and export it as a OneStep SavedModel.

    Checkpoints live below `custom_config["checkpoints"]`, in a directory named after all that decides the result: data,
    configuration and sources. A run that was killed goes on from there, and a finished export is used again.

    Args:
      fn_args: TFX's `FnArgs`. `custom_config` holds the directories `checkpoints` and `registry`, `sources` and
        `export_sources` (digests of the code that trains and that exports), `seed`, `model_name` and the sections
        `model`, `training` and `export` of the configuration.
    """
    config = fn_args.custom_config
    training = config["training"]
    # First of all: a strategy over several workers, and a GPU's memory, are set up before TensorFlow computes anything.
    machine = hardware.choose(training["strategy"], training["precision"], training["logical_cpus"])
    transform_output = tft.TFTransformOutput(fn_args.transform_output)
    try:
        vocabulary = Vocabulary.from_tokens(transform_output.vocabulary_by_name(VOCABULARY_NAME))
    except ValueError as error:
        raise UserError(f"{error} Lower it.") from error
    spec = transform_output.transformed_feature_spec()
    limit = training["memory_limit_chars"]
    train = data.load(fn_args.train_files, spec, vocabulary.size, limit)
    evaluation = data.load(fn_args.eval_files, spec, vocabulary.size, limit)
    if not evaluation.targets or not train.targets:
        raise UserError("The corpus is too small: one of its splits has no character to predict. Give a longer text.")

    learned = _learned(vocabulary, train, evaluation)
    beginning = warm_start.find(config["registry"], learned) if training["warm_start"] else None
    directory = os.path.join(config["checkpoints"], _key(config, learned, beginning))
    finished = os.path.join(directory, f"export-{_export_key(config)}")
    chief = _is_chief()
    if tf.io.gfile.exists(finished):
        LOGGER.info("the same model was trained before: its export is used again")
    else:
        _train(config, machine, vocabulary, train, evaluation, learned, beginning, directory, finished, chief)
    if chief:
        io_utils.copy_dir(finished, fn_args.serving_model_dir)
        logs = os.path.join(directory, "tensorboard")
        if tf.io.gfile.exists(logs):
            io_utils.copy_dir(logs, fn_args.model_run_dir)


def _train(
    config: dict[str, Any],
    machine: hardware.Hardware,
    vocabulary: Vocabulary,
    train: data.Split,
    evaluation: data.Split,
    learned: str,
    beginning: warm_start.Beginning | None,
    directory: str,
    finished: str,
    chief: bool,
) -> None:
    training, seed = config["training"], config["seed"]
    if training["deterministic"]:
        tf.config.experimental.enable_op_determinism()
    cut = windows.contiguous if training["data_order"] == "contiguous" else windows.independent
    train_windows = cut(train.ids, train.lengths, training["sequence_length"])
    eval_windows = windows.contiguous(evaluation.ids, evaluation.lengths, training["sequence_length"])

    with machine.strategy.scope():
        tf.random.set_seed(seed)
        model = LanguageModel(
            vocabulary.size,
            **config["model"],
            seed=seed,
            precision=machine.precision,
            stock_layer=machine.stock_layer,
        )
        if beginning:
            misfit = warm_start.apply(model, vocabulary, beginning)
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
        "%s; %s parameters, %s characters to learn", machine.description, f"{parameters:,}", f"{train.targets:,}"
    )
    # Checkpoints fit the machine and the TensorFlow that wrote them; on another, training begins anew.
    fitting = f"{machine.precision}-{loop.batch_size}x{replicas}-tensorflow-{tf.__version__}"
    saved = os.path.join(directory, fitting)
    if chief:
        restore.describe(saved, vocabulary, config["model"], training["restore_best"])
    checkpoints = Checkpoints(saved, model, optimiser, loop.batch_size, chief, training["keep_every_epoch"])
    writer = tf.summary.create_file_writer(os.path.join(directory, "tensorboard")) if chief else None
    reporter = Reporter(loop.total_steps, training["log_every"], writer)
    position = loop.run(checkpoints, reporter, _sampler(model, vocabulary, training["sample_chars"], seed))
    LOGGER.info(
        "trained %s steps; best eval loss %.4f nats (perplexity %.3f) at step %s",
        f"{position.step:,}",
        position.best_loss,
        perplexity(position.best_loss),
        f"{position.best_step:,}",
    )
    if chief:
        yardstick = trigram.cross_entropy(
            train, evaluation, vocabulary.size, vocabulary.out_of_vocabulary, vocabulary.unknown_characters
        )
        exported = export.one_step(model, vocabulary, config["export"], yardstick)
        export.save(exported, finished, config["model_name"], learned)


# What the result of training does not depend on: how it is watched, kept in memory and saved.
_HARMLESS = ("log_every", "sample_chars", "checkpoint_seconds", "memory_limit_chars")


def _learned(vocabulary: Vocabulary, train: data.Split, evaluation: data.Split) -> str:
    return _digest({"data": [train.digest(vocabulary), evaluation.digest(vocabulary)]})


def _key(config: dict[str, Any], learned: str, beginning: warm_start.Beginning | None) -> str:
    decides = {name: config[name] for name in ("sources", "seed", "model")}
    decides["training"] = {key: value for key, value in config["training"].items() if key not in _HARMLESS}
    decides["data"] = learned
    decides["beginning"] = beginning.digest if beginning else None
    return _digest(decides)


def _export_key(config: dict[str, Any]) -> str:
    return _digest({name: config[name] for name in ("export_sources", "model_name", "export")})


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def _is_chief() -> bool:
    """Whether this process writes the results: always, but for workers other than the first."""
    task = json.loads(os.environ.get("TF_CONFIG") or "{}")
    kind, index = task.get("task", {}).get("type"), int(task.get("task", {}).get("index", 0))
    if kind in (None, "chief"):
        return True
    return kind == "worker" and index == 0 and not task.get("cluster", {}).get("chief")


def _sampler(model: LanguageModel, vocabulary: Vocabulary, count: int, seed: int) -> Any:
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
