"""`run_fn`: what the TFX Trainer calls."""

import json
import os
from typing import Any

import tensorflow as tf
from tfx.utils import io_utils

from trainer import export, fitting, hardware, hyperparameters, warm_start
from trainer.data import trigram
from trainer.progress import LOGGER


def run_fn(fn_args: Any) -> None:
    """Train the language model and export it as a OneStep SavedModel.

    Checkpoints live below `custom_config["checkpoints"]`, in a directory named after all that decides the result: data,
    configuration and sources. A run that was killed goes on from there, and a finished export is used again.

    Args:
      fn_args: TFX's `FnArgs`. `custom_config` holds the directories `checkpoints` and `registry`, `sources` and
        `export_sources` (digests of the code that trains and that exports), `seed`, `model_name` and the sections
        `model`, `training` and `export` of the configuration. Hyperparameters of a Tuner take the place of theirs.
    """
    config = hyperparameters.put_in(fn_args.custom_config, fn_args.hyperparameters)
    training = config["training"]
    # First of all: a strategy over several workers, and a GPU's memory, are set up before TensorFlow computes anything.
    machine = hardware.choose(training["strategy"], training["precision"], training["logical_cpus"])
    text = fitting.load(fn_args, training["memory_limit_chars"])
    beginning = warm_start.find(config["registry"], text.learned) if training["warm_start"] else None
    directory = os.path.join(config["checkpoints"], _key(config, text.learned, beginning))
    finished = os.path.join(directory, f"export-{_export_key(config)}")
    chief = is_chief()
    if tf.io.gfile.exists(finished):
        LOGGER.info("the same model was trained before: its export is used again")
    else:
        model, _ = fitting.fit(config, machine, text, directory, chief, beginning)
        if chief:
            known = text.vocabulary
            reference_nats = trigram.cross_entropy(
                text.train, text.evaluation, known.size, known.out_of_vocabulary, known.unknown_characters
            )
            exported = export.one_step(model, known, config["export"])
            export.save(exported, finished, config["model_name"], reference_nats, text.learned)
    if chief:
        io_utils.copy_dir(finished, fn_args.serving_model_dir)
        logs = os.path.join(directory, "tensorboard")
        if tf.io.gfile.exists(logs):
            io_utils.copy_dir(logs, fn_args.model_run_dir)


# What the result of training does not depend on: how it is watched, kept in memory and saved.
_HARMLESS = ("log_every", "sample_chars", "checkpoint_seconds", "memory_limit_chars")


def _key(config: dict[str, Any], learned: str, beginning: warm_start.Beginning | None) -> str:
    decides = {name: config[name] for name in ("sources", "seed", "model")}
    decides["training"] = {key: value for key, value in config["training"].items() if key not in _HARMLESS}
    decides["data"] = learned
    decides["beginning"] = beginning.digest if beginning else None
    return fitting.digest(decides)


def _export_key(config: dict[str, Any]) -> str:
    return fitting.digest({name: config[name] for name in ("export_sources", "model_name", "export")})


def is_chief() -> bool:
    """Whether this process writes the results: always, but for workers other than the first."""
    task = json.loads(os.environ.get("TF_CONFIG") or "{}")
    kind, index = task.get("task", {}).get("type"), int(task.get("task", {}).get("index", 0))
    if kind in (None, "chief"):
        return True
    return kind == "worker" and index == 0 and not task.get("cluster", {}).get("chief")
