"""The batches that every implementation trains on, in a file: the trainer's windows in the trainer's order."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.implementations.job import Arrays, write
from pipeline.config.run import Config
from pipeline.config.training import TrainingConfig
from trainer import fitting
from trainer.data import windows
from trainer.model import INITIAL_EMBEDDING
from trainer.optimizer import learning_rate
from trainer.plan import choices, sizes

MARGIN = 100  # batches to search, in addition to twice the number requested


@dataclass(frozen=True)
class Job:
    """The batches of a training and what an implementation needs to know about them.

    Attributes:
      path: file of the arrays.
      rows, length: shape of a batch.
      vocabulary_size: number of ids.
      total_steps: length of the training whose first steps these are; it determines the learning rates.
    """

    path: str
    rows: int
    length: int
    vocabulary_size: int
    total_steps: int

    def message(self, config: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Return the first message to a worker that trains."""
        sections = {"seed": config["seed"], "model": comparable(config["model"]), "training": config["training"]}
        return {**sections, "arrays": self.path, "vocabulary_size": self.vocabulary_size, **more}


def comparable(model: dict[str, Any]) -> dict[str, Any]:
    """Return the model section with every dropout rate resolved and without features that other fast layers lack.

    Raises:
      SystemExit: the output is tied to the embedding.
    """
    if model["tied"]:
        raise SystemExit("The implementations have no output that is tied to the embedding. Received: model.tied=true")
    places = ("input_dropout", "layer_dropout", "output_dropout")
    rates = {place: model["dropout"] if model[place] is None else model[place] for place in places}
    initial = model["initial_embedding"] or INITIAL_EMBEDDING
    return {**model, **rates, "recurrent_dropout": 0.0, "initial_embedding": initial}


def resolved(config: Config, text: fitting.Data) -> dict[str, Any]:
    """Return the configuration as plain values, with those that depend on the data."""
    return choices.apply(config, fitting.choose(config, text)).model_dump()


def make(config: dict[str, Any], text: fitting.Data, count: int, path: Path, replicas: int = 1) -> Job:
    """Write the first `count` batches of a training that have no short windows.

    Short windows occur at the end of an epoch; without them no implementation needs a mask. The next batch starts a
    new epoch with a new state.

    Args:
      config: the complete configuration, as plain values, without "auto" for the model; see `resolved`.
      text: the corpus.
      count: number of training steps.
      path: path of the file, without suffix.
      replicas: devices of the training.

    Raises:
      SystemExit: the corpus is too small.
    """
    training, ids = TrainingConfig(**config["training"]), text.train.ids
    cut = windows.contiguous if training.data_order == "contiguous" else windows.independent
    length = int(training.sequence_length)
    train = cut(ids, text.train.lengths, length, text.vocabulary.end_of_document)
    size = sizes.measure(training, train, train, replicas)
    total, rows = choices.count_steps(training, size), size.rows
    epochs = _epochs(train, training, config["seed"], rows)
    # The last stream of a small text may have no window at all; then no batch is complete.
    complete = (batch for batch in itertools.islice(epochs, 2 * count + MARGIN) if batch.mask.all())
    chosen = list(itertools.islice(complete, count))
    if len(chosen) < count:
        raise SystemExit(f"The corpus is too small for {count} batches of {rows} full windows.")
    rate = learning_rate(training, total)
    rates = [float(rate if isinstance(rate, float) else rate(step)) for step in range(count)]
    arrays = Arrays(
        np.stack([batch.inputs for batch in chosen]),
        np.stack([batch.targets for batch in chosen]),
        np.stack([batch.mask for batch in chosen]),
        np.stack([batch.carry_mask for batch in chosen]),
        np.array(rates, np.float32),
        # Long enough for as many streams as the entire text gives.
        np.array(ids[: rows * windows.MIN_WINDOWS_IN_A_STREAM * (length + 1) + 1]),
    )
    write(arrays, str(path))
    return Job(f"{path}.npz", rows, length, text.vocabulary.size, total)


def _epochs(train: windows.Windows, training: TrainingConfig, seed: int, rows: int) -> Iterator[windows.Batch]:
    epoch = 0
    while True:
        if training.data_order == "contiguous":
            yield from windows.contiguous_batches(windows.shuffle_documents(train, [seed, epoch]), rows)
        else:
            yield from windows.shuffled_batches(train, rows, training.shuffle_buffer, [seed, epoch])
        epoch += 1
