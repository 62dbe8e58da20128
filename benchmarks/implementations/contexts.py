"""Evaluation windows of a model with bounded context; NumPy only."""

from typing import Any, NamedTuple

import numpy as np


class Windows(NamedTuple):
    """Windows over a text, each read from the initial state.

    Attributes:
      inputs, targets: ids, int64 (windows, size).
      counts: float32 (windows, size), one where a target counts; every target of the text counts once.
    """

    inputs: Any
    targets: Any
    counts: Any


def windows(ids: Any, size: int, stride: int) -> Windows:
    """Cut a text for evaluation.

    Args:
      ids: the text's ids, (characters,); all but the first are targets.
      size: length of a window.
      stride: distance between the starts of two windows. With `size`, windows are adjacent and every target counts.
        With less they overlap, and only the last `stride` targets of a window count (all targets of the first window),
        so that at least `size - stride` characters precede each target's input, except at the start of the text.
    """
    targets = len(ids) - 1
    starts = np.arange(0, max(1, targets - size + stride), stride)  # until one reaches the end
    time = np.arange(size)
    at = starts[:, None] + time  # (windows, size)
    first = np.where(starts == 0, 0, size - stride)[:, None]
    counts = (time >= first) & (at < targets)
    at = np.minimum(at, targets - 1)
    ids = np.asarray(ids).astype(np.int64)
    return Windows(ids[at], ids[at + 1], counts.astype(np.float32))
