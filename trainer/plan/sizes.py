"""Sizes of a training: the characters of its data, in batches and steps."""

from dataclasses import dataclass

from pipeline.config.training import TrainingConfig
from trainer.data import windows as w

FORWARD_SHARE = 0.35  # time of one batch of an evaluation, in training steps
IDS_PER_STEP = 7_000  # ids whose full softmax takes as long as a training step with a sampled one


@dataclass(frozen=True)
class Size:
    """What the length of a training depends on.

    Attributes:
      characters: to predict in the train split.
      documents: of the train split.
      rows: windows of one step, over all devices.
      step: characters to predict in one step, on average.
      steps_per_epoch: steps that read the train split once.
      evaluation_rows: windows of one batch of the eval split.
      evaluation_batches: batches of one evaluation.
      full_softmax: ids of the softmax that only evaluations have, because training steps sample it; 0: steps have it.
    """

    characters: int
    documents: int
    rows: int
    step: int
    steps_per_epoch: int
    evaluation_rows: int
    evaluation_batches: int
    full_softmax: int = 0

    @property
    def evaluation_time(self) -> float:
        """Estimated time of one evaluation, in training steps."""
        return self.evaluation_batches * (FORWARD_SHARE + self.full_softmax / IDS_PER_STEP)


def measure(
    training: TrainingConfig, train: w.Windows, evaluation: w.Windows, replicas: int, vocabulary: int = 0
) -> Size:
    """Count the batches of both splits.

    Args:
      vocabulary: number of ids; only `Size.evaluation_time` depends on it.
    """
    rows = batch_rows(train, training, replicas)
    per_epoch = w.steps_per_epoch(train, rows, drop_remainder=training.data_order != "contiguous")
    evaluation_rows = w.stream_count(evaluation, max(rows, replicas), replicas)
    batches = w.steps_per_epoch(evaluation, evaluation_rows)
    full_softmax = vocabulary if training.sampled_softmax else 0
    step = max(1, round(rows * train.targets / max(1, len(train))))  # the last window of a document may be shorter
    documents = int(train.starts_document.sum())
    return Size(train.targets, documents, rows, step, per_epoch, evaluation_rows, batches, full_softmax)


def batch_rows(train: w.Windows, training: TrainingConfig, replicas: int) -> int:
    """Count the windows of one step over all devices: `batch_size`, fewer for a small split; a multiple of replicas."""
    if training.data_order == "contiguous":
        return w.stream_count(train, int(training.batch_size), replicas)
    return max(replicas, min(int(training.batch_size), len(train)) // replicas * replicas)
