"""Save and restore the complete state of training, so that it resumes as if it had not stopped."""

import dataclasses
import json
import os
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from components import files
from pipeline.config.training import ModelConfig
from serving.graph.checkpoint import DESCRIPTION
from trainer.cluster import collective
from trainer.model import LanguageModel
from transform.vocabulary import Vocabulary


def describe(directory: str, vocabulary: Vocabulary, model: ModelConfig, restore_best: bool) -> None:
    """Write what generation needs besides the weights next to the checkpoints; see `serving.graph.checkpoint`."""
    values = {**dataclasses.asdict(vocabulary), "model": model.model_dump(), "restore_best": restore_best}
    tf.io.gfile.makedirs(directory)
    files.write(os.path.join(directory, DESCRIPTION), json.dumps(values) + "\n")


def delete_incomplete(directory: str) -> None:
    """Delete all checkpoints but the newest complete one: what runs left that were killed while they wrote one."""
    latest = tf.train.latest_checkpoint(directory)
    # TensorFlow renames checkpoint.tmp* to the file that names the newest checkpoint.
    for path in tf.io.gfile.glob([os.path.join(directory, name) for name in ("ckpt-*", "checkpoint.tmp*")]):
        if latest is None or not path.startswith(f"{latest}."):
            (tf.io.gfile.rmtree if tf.io.gfile.isdir(path) else tf.io.gfile.remove)(path)


@dataclass
class Position:
    """Progress of training.

    Attributes:
      step: optimizer steps taken.
      epoch, batch: current epoch, and the next batch in it.
      best_loss: lowest eval loss so far, nats per character.
      best_step: step of that evaluation.
      evals_since_best: evaluations since then.
      total_steps: of the complete training; 0: not known yet.
      finished: whether training is complete.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    best_loss: float = float("inf")
    best_step: int = 0
    evals_since_best: int = 0
    total_steps: int = 0
    finished: bool = False


class Checkpoints:
    """Checkpoints of one training run in one directory; the newest complete one is restored.

    `tf.train.CheckpointManager` writes the data first and then replaces the file that names the newest checkpoint: an
    incomplete one is never restored.

    Example: `test_saved_state_is_restored_exactly` in tests/trainer/test_checkpoint.py.
    """

    def __init__(
        self, directory: str, model: LanguageModel, optimizer: Any, batch: int, chief: bool, keep_every_epoch: bool
    ) -> None:
        """Create variables for what is saved besides the weights.

        Args:
          batch: rows of the carried state.
          chief: whether this process writes; the others only restore. Saving is not a collective operation, as all
            variables have the same value everywhere.
          keep_every_epoch: also keep the weights of each epoch.
        """
        # A list of variables: a checkpoint of the model itself would leave out layers that are in a list.
        self._weights = [variable.value for variable in model.weights_to_train]
        self.best = [tf.Variable(weight.numpy(), trainable=False) for weight in self._weights]
        self._carried = [tf.Variable(part, trainable=False) for part in model.zero_state(batch)]
        self._position = tf.Variable("", trainable=False)
        self._directory, self._saves = directory, chief
        self._manager = tf.train.CheckpointManager(
            tf.train.Checkpoint(
                weights=self._weights,
                optimizer=optimizer,
                best=self.best,
                carried=self._carried,
                position=self._position,
            ),
            directory,
            max_to_keep=1,
        )
        self._epochs = None
        if keep_every_epoch and chief:
            weights = tf.train.Checkpoint(weights=self._weights)
            self._epochs = tf.train.CheckpointManager(weights, os.path.join(directory, "epochs"), max_to_keep=None)

    def restore(self) -> tuple[Position, list[np.ndarray]] | None:
        """Load the newest checkpoint.

        Returns:
          Position and carried state; None if there is no checkpoint.
        """
        latest = tf.train.latest_checkpoint(self._directory)
        if latest is None:
            return None
        self._manager.checkpoint.restore(latest).assert_consumed()
        position = Position(**json.loads(self._position.numpy().decode()))
        return position, [variable.numpy() for variable in self._carried]

    def check_same(self, strategy: tf.distribute.Strategy, position: Position) -> None:
        """Check that all processes of the training continue from the same step in directories of the same name.

        Raises:
          UserError: they do not.
        """
        # The names are those of a digest of data, configuration and code, and of the kind of machine.
        name = os.sep.join(self._directory.rstrip("/").split("/")[-2:])
        digest = zlib.crc32(f"{name} {position.step}".encode()) >> 1
        collective.check_same(strategy, digest, f"{name} at step {position.step}")

    def save(self, position: Position, carried: list[np.ndarray]) -> None:
        """Write a checkpoint, then delete the previous one."""
        if not self._saves:
            return
        for variable, value in zip(self._carried, carried):
            variable.assign(value)
        self._position.assign(json.dumps(dataclasses.asdict(position)))
        self._manager.save(checkpoint_number=position.step)

    def save_epoch(self, epoch: int) -> None:
        """Write the weights of an epoch, which are kept, if that is configured."""
        if self._epochs:
            self._epochs.save(checkpoint_number=epoch)

    def keep_as_best(self) -> None:
        """Copy the current weights to `best`."""
        for best, weight in zip(self.best, self._weights):
            best.assign(weight)

    def use_best(self) -> None:
        """Copy the best weights into the model."""
        for best, weight in zip(self.best, self._weights):
            weight.assign(best)
