"""Sizes of a training: the characters of its data, in batches and steps."""

from dataclasses import dataclass

from pipeline.config.training import TrainingConfig
from trainer.data import windows as w


@dataclass(frozen=True)
class Size:
    """What the length of a training depends on.

    Attributes:
      characters: to predict in the train split.
      rows: windows of one step, over all devices.
      step: characters of one step.
      steps_per_epoch: steps that read the train split once.
      evaluation_rows: windows of one batch of the eval split.
      evaluation_batches: batches of one evaluation.
    """

    characters: int
    rows: int
    step: int
    steps_per_epoch: int
    evaluation_rows: int
    evaluation_batches: int


def measure(training: TrainingConfig, train: w.Windows, evaluation: w.Windows, replicas: int) -> Size:
    """Count the batches of both splits."""
    rows = batch_rows(train, training, replicas)
    per_epoch = w.steps_per_epoch(train, rows, drop_remainder=training.data_order != "contiguous")
    evaluation_rows = w.stream_count(evaluation, max(rows, replicas), replicas)
    batches = w.steps_per_epoch(evaluation, evaluation_rows)
    return Size(train.targets, rows, rows * train.size, per_epoch, evaluation_rows, batches)


def batch_rows(train: w.Windows, training: TrainingConfig, replicas: int) -> int:
    """Count the windows of one step over all devices: `batch_size`, fewer for a small split; a multiple of replicas."""
    if training.data_order == "contiguous":
        return w.stream_count(train, int(training.batch_size), replicas)
    return max(replicas, min(int(training.batch_size), len(train)) // replicas * replicas)
