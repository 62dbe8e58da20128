"""The arrays of a job: batches, learning rates, and the start of the text."""

from typing import Any, NamedTuple

import numpy as np


class Arrays(NamedTuple):
    """Training data.

    Attributes:
      inputs, targets: ids, int32 (steps, batch, time).
      mask: float32 (steps, batch, time), one where a target counts.
      keep: float32 (steps, batch, 1), zero where the state is reset before the batch.
      rates: learning rate of each step, float32 (steps,).
      ids: the start of the text, (characters,).
    """

    inputs: Any
    targets: Any
    mask: Any
    keep: Any
    rates: Any
    ids: Any


def write(arrays: Arrays, path: str) -> None:
    """Write the arrays to a path without suffix."""
    np.savez(path, **arrays._asdict())


def read(path: str) -> Arrays:
    """Read the arrays."""
    with np.load(path) as file:
        return Arrays(**{name: file[name] for name in Arrays._fields})
