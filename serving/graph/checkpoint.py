"""Build the served model from a training checkpoint, without an export."""

import itertools
import json
import os
from typing import Any

import tensorflow as tf

from components import shell_command
from components.errors import UserError
from serving.graph import network
from serving.graph.one_step import Defaults, OneStep
from transform.vocabulary import Vocabulary

# Training writes it next to its checkpoints: the values of the vocabulary, the section `model` of the configuration,
# and `restore_best`.
DESCRIPTION = "model.json"
_POINTER = "checkpoint"  # the file in which TensorFlow names the newest checkpoint of a directory
_VALUE = "{}/.ATTRIBUTES/VARIABLE_VALUE"


def newest(place: str) -> str:
    """Find the directory in or below `place` that contains the newest checkpoint.

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


def one_step(directory: str, defaults: Defaults) -> tuple[OneStep, int]:
    """Build the model that training would export from a directory's newest checkpoint.

    If training ends with the best weights, these are the best ones so far, else the last ones.

    Args:
      directory: as returned by `newest`.
      defaults: of the model, as an export would state them.

    Returns:
      The model, and the training step of its weights.

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
        described = json.loads(file.read())
    position, variables = _read(directory, described["restore_best"])
    arranged = network.arrange(variables, described["model"]["cell"], described["model"]["tied"])
    best = described["restore_best"] and position["best_step"]
    # Checkpoints of earlier releases have no normalization.
    normalization = described.get("normalization"), described.get("fold_case", False)
    vocabulary = Vocabulary(tuple(described["code_points"]), *normalization)
    return OneStep(arranged, vocabulary, defaults), int(best or position["step"])


def _read(directory: str, restore_best: bool) -> tuple[dict[str, Any], list[Any]]:
    """Read position and variables; retry because training may replace the checkpoint meanwhile."""
    for attempts_left in (2, 1, 0):
        try:
            reader = tf.train.load_checkpoint(directory)
            position = json.loads(reader.get_tensor(_VALUE.format("position")).decode())
            part = "best" if restore_best and position["best_step"] else "weights"
            names = (_VALUE.format(f"{part}/{i}") for i in itertools.count())
            return position, [reader.get_tensor(name) for name in itertools.takewhile(reader.has_tensor, names)]
        except (tf.errors.NotFoundError, tf.errors.DataLossError, ValueError):
            if not attempts_left:
                raise
    raise AssertionError("unreachable")
