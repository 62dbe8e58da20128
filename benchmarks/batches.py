"""The same batches for every contender, in a file: made by the trainer's own windows, in the trainer's order."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders.job import Arrays, write
from trainer import fitting
from trainer.data import windows
from trainer.loop import Loop, batch_rows
from trainer.model import INITIAL_EMBEDDING
from trainer.optimizer import learning_rate

MARGIN = 100  # batches that are looked at, beyond twice those that are wanted


@dataclass(frozen=True)
class Job:
    """What contenders are told.

    Attributes:
      path: of the arrays.
      rows, length: of a batch.
      vocabulary_size: ids.
      total_steps: of the whole training that these steps are the beginning of; its schedule is stretched to them.
    """

    path: str
    rows: int
    length: int
    vocabulary_size: int
    total_steps: int

    def told(self, config: dict[str, Any], **more: Any) -> dict[str, Any]:
        """As the message that begins the conversation with a contender that trains."""
        sections = {"seed": config["seed"], "model": comparable(config["model"]), "training": config["training"]}
        return {**sections, "arrays": self.path, "vocabulary_size": self.vocabulary_size, **more}


def comparable(model: dict[str, Any]) -> dict[str, Any]:
    """The model section with every rate of dropout said, and without what the peers' fast layers have not.

    Raises:
      SystemExit: the output is tied to the embedding.
    """
    if model["tied"]:
        raise SystemExit("The contenders have no output that is tied to the embedding. Received: model.tied=true")
    places = ("input_dropout", "layer_dropout", "output_dropout")
    rates = {place: model["dropout"] if model[place] is None else model[place] for place in places}
    begins = model["initial_embedding"] or INITIAL_EMBEDDING
    return {**model, **rates, "recurrent_dropout": 0.0, "initial_embedding": begins}


def make(config: dict[str, Any], text: fitting.Data, count: int, path: Path, replicas: int = 1) -> Job:
    """Write the first `count` batches of a training, without those that have short windows, at the end of a pass.

    So no contender needs a mask. What follows them begins a new pass, with a new state.

    Args:
      config: the whole configuration, as plain values.
      text: what is learned.
      count: steps that will be asked for.
      path: of the file, without suffix.
      replicas: devices of the training.
    """
    training, ids = config["training"], text.train.ids
    carries = training["data_order"] == "contiguous"
    cut = windows.contiguous if carries else windows.independent
    train = cut(ids, text.train.lengths, training["sequence_length"])
    total = Loop.count_steps(training, train, replicas)
    rows = batch_rows(train, training, carries, replicas)
    passes = _passes(train, training, config["seed"], rows)
    # A small text's last stream may have no window at all, and then no batch is whole.
    whole = (batch for batch in itertools.islice(passes, 2 * count + MARGIN) if batch.mask.all())
    chosen = list(itertools.islice(whole, count))
    if len(chosen) < count:
        raise SystemExit(f"The corpus is too small for {count} batches of {rows} whole windows.")
    rate = learning_rate(training, total)
    rates = [float(rate if isinstance(rate, float) else rate(step)) for step in range(count)]
    arrays = Arrays(
        np.stack([batch.inputs for batch in chosen]),
        np.stack([batch.targets for batch in chosen]),
        np.stack([batch.mask for batch in chosen]),
        np.stack([batch.keep for batch in chosen]),
        np.array(rates, np.float32),
        # A stretch that is long enough for as many streams as the whole text gives.
        np.array(ids[: rows * windows.MIN_WINDOWS_IN_A_STREAM * (training["sequence_length"] + 1) + 1]),
    )
    write(arrays, str(path))
    return Job(f"{path}.npz", rows, training["sequence_length"], text.vocabulary.size, total)


def _passes(train: windows.Windows, training: dict[str, Any], seed: int, rows: int) -> Iterator[windows.Batch]:
    epoch = 0
    while True:
        if training["data_order"] == "contiguous":
            yield from windows.contiguous_batches(train, rows)
        else:
            yield from windows.shuffled_batches(train, rows, training["shuffle_buffer"], [seed, epoch])
        epoch += 1
