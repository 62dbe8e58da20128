"""A trained model straight from a checkpoint of training, without any export: what is exported, as it would be now."""

import json
import os
from typing import Any

import tensorflow as tf

from components import shell_command
from components.errors import UserError
from serving.graph.one_step import OneStep
from trainer import export
from trainer.model import LanguageModel
from transform.vocabulary import Vocabulary

DESCRIPTION = "model.json"  # beside the checkpoints: what their weights alone do not tell
_POINTER = "checkpoint"  # the file in which TensorFlow names the newest checkpoint of a directory
_VALUE = "{}/.ATTRIBUTES/VARIABLE_VALUE"


def describe(directory: str, vocabulary: Vocabulary, model: dict[str, Any], restore_best: bool) -> None:
    """Write beside the checkpoints of a directory what it takes to use them: vocabulary, sizes, which weights count."""
    values = {"code_points": vocabulary.code_points, "model": model, "restore_best": restore_best}
    tf.io.gfile.makedirs(directory)
    partial = os.path.join(directory, f".{DESCRIPTION}.partial")
    with tf.io.gfile.GFile(partial, "w") as file:
        file.write(json.dumps(values) + "\n")
    tf.io.gfile.rename(partial, os.path.join(directory, DESCRIPTION), overwrite=True)


def newest(place: str) -> str:
    """The directory in or below `place` that holds the newest checkpoint.

    Raises:
      UserError: there is none.
    """
    found = [
        folder
        for folder, _, names in tf.io.gfile.walk(place)
        if _POINTER in names and os.path.basename(folder.rstrip("/")) != "epochs"
    ]
    if not found:
        raise UserError(
            f"There is no checkpoint. Train first ({shell_command.of('local_runner.py')}), or name the folder that "
            f"holds checkpoints. Received: {place}"
        )
    return str(max(found, key=lambda folder: tf.io.gfile.stat(os.path.join(folder, _POINTER)).mtime_nsec))


def one_step(directory: str, defaults: dict[str, Any]) -> tuple[OneStep, int]:
    """The model of a directory's newest checkpoint.

    Training that takes the best weights in the end gives the best ones so far, any other the last ones.

    Args:
      directory: as `newest` gives it.
      defaults: the section `export` of the configuration.

    Returns:
      The model, and the training step that its weights are of.

    Raises:
      UserError: the directory lacks its description.
    """
    path = os.path.join(directory, DESCRIPTION)
    if not tf.io.gfile.exists(path):
        raise UserError(
            f"The checkpoint cannot be used on its own: {DESCRIPTION}, which holds its vocabulary, is missing beside "
            f"it. The next training run writes it. Received: {directory}"
        )
    with tf.io.gfile.GFile(path) as file:
        described = json.load(file)
    vocabulary, sizes = Vocabulary(tuple(described["code_points"])), described["model"]
    model = LanguageModel(vocabulary.size, **sizes)
    position, weights = _read(directory, len(model.weights_to_train), described["restore_best"])
    for variable, weight in zip(model.weights_to_train, weights):
        variable.assign(weight)
    best = described["restore_best"] and position["best_step"]
    return export.one_step(model, vocabulary, defaults), int(best or position["step"])


def _read(directory: str, count: int, restore_best: bool) -> tuple[dict[str, Any], list[Any]]:
    """Position and weights; training may replace the checkpoint by its next one while it is read."""
    for attempts_left in (2, 1, 0):
        try:
            reader = tf.train.load_checkpoint(directory)
            position = json.loads(reader.get_tensor(_VALUE.format("position")).decode())
            part = "best" if restore_best and position["best_step"] else "weights"
            return position, [reader.get_tensor(_VALUE.format(f"{part}/{i}")) for i in range(count)]
        except (tf.errors.NotFoundError, tf.errors.DataLossError, ValueError):
            if not attempts_left:
                raise
    raise AssertionError("unreachable")
