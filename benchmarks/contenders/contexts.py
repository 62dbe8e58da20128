"""Which characters a model of bounded context predicts from which others; NumPy only."""

from typing import Any, NamedTuple

import numpy as np


class Windows(NamedTuple):
    """Windows over a text, each read from nothing.

    Attributes:
      inputs, targets: ids, int64 (windows, size).
      counts: float32 (windows, size), one where a target counts: each of the text's once.
    """

    inputs: Any
    targets: Any
    counts: Any


def windows(ids: Any, size: int, stride: int) -> Windows:
    """Cut a text for evaluation.

    Args:
      ids: of the text, (characters,); all but its first one are targets.
      size: characters that a window reads at most.
      stride: from a window to the next. With `size` they stand side by side and every target in them counts; with less
        they overlap, and only the last `stride` targets of a window count (of the first window all), so that
        `size - stride` characters at least come before each target's own input, but for the text's beginning.
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
