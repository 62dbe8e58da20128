"""Cut a split's ids into windows, and windows into batches: contiguous streams that carry state, or shuffled windows.

NumPy on index tables: no text is copied, and a position in the data is two integers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Seed = int | Sequence[int]
MIN_WINDOWS_IN_A_STREAM = 4


@dataclass(frozen=True)
class Windows:
    """A table of windows over one array of ids.

    Attributes:
      ids: all documents of the split, concatenated, shape (characters,).
      starts: index in `ids` of each window's first input, shape (windows,).
      lengths: targets in each window, at most `size`, shape (windows,).
      starts_document: whether a window is a document's first one, which starts without state, shape (windows,).
      size: characters in a full window.
    """

    ids: Array
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    starts_document: NDArray[np.bool_]
    size: int

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def targets(self) -> int:
        """Number of characters predicted in an epoch."""
        return int(self.lengths.sum())


@dataclass(frozen=True)
class Batch:
    """One step's windows.

    Attributes:
      inputs, targets: ids, int32 (batch, time); zero where `mask` is zero.
      mask: float32 (batch, time), one where a target counts.
      carry_mask: float32 (batch, 1), zero where the carried state must be reset before the window.
    """

    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    mask: NDArray[np.float32]
    carry_mask: NDArray[np.float32]


def contiguous(ids: Array, document_lengths: NDArray[np.int64], size: int) -> Windows:
    """Cut into adjacent windows that never cross the end of a document.

    Every character but each document's first is a target exactly once; a document's last window may be shorter.

    >>> contiguous(np.arange(8), np.array([8]), size=3).lengths.tolist()
    [3, 3, 1]
    """
    return _cut(ids, document_lengths, size, stride=size, keep_short=True)


def independent(ids: Array, document_lengths: NDArray[np.int64], size: int) -> Windows:
    """Cut into full windows that share no character, `size + 1` apart, and drop the rest: the tutorial's sequences.

    If no document contains a full window, the shorter ones are kept.
    """
    windows = _cut(ids, document_lengths, size, stride=size + 1, keep_short=False)
    return windows if len(windows) else _cut(ids, document_lengths, size, stride=size + 1, keep_short=True)


def _cut(ids: Array, document_lengths: NDArray[np.int64], size: int, stride: int, keep_short: bool) -> Windows:
    begins = np.concatenate([[0], np.cumsum(document_lengths)])
    starts, lengths = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for begin, end in zip(begins[:-1], begins[1:]):
        at = np.arange(begin, end - 1, stride, dtype=np.int64)
        length = np.minimum(size, end - 1 - at)
        chosen = slice(None) if keep_short else length == size
        starts.append(at[chosen])
        lengths.append(length[chosen])
    all_starts = np.concatenate(starts)
    return Windows(ids, all_starts, np.concatenate(lengths), np.isin(all_starts, begins), size)


def stream_count(windows: Windows, batch_size: int, replicas: int = 1) -> int:
    """Count parallel streams for carried state: `batch_size`, fewer for a small split; a multiple of `replicas`."""
    wanted = min(batch_size, max(1, len(windows) // MIN_WINDOWS_IN_A_STREAM))
    return max(replicas, wanted // replicas * replicas)


def contiguous_batches(windows: Windows, streams: int, first: int = 0) -> Iterator[Batch]:
    """Yield an epoch: row r of batch s is window s of stream r; streams are equal parts of the table.

    Args:
      first: index of the first batch, to resume an epoch.
    """
    steps = steps_per_epoch(windows, streams)
    for step in range(first, steps):
        rows = np.arange(streams, dtype=np.int64) * steps + step
        yield _gather(windows, rows, reset=windows.starts_document[np.minimum(rows, len(windows) - 1)] | (step == 0))


def shuffled_batches(windows: Windows, batch_size: int, buffer: int, seed: Seed, first: int = 0) -> Iterator[Batch]:
    """Yield an epoch of independent windows, shuffled; an incomplete last batch is dropped unless it is the only one.

    Args:
      buffer: windows among which the next one is chosen, as in `tf.data.Dataset.shuffle`.
      seed: the same seed gives the same order.
      first: index of the first batch, to resume an epoch.
    """
    order = np.fromiter(_shuffle(len(windows), buffer, seed), np.int64, len(windows))
    # If there are fewer windows than rows: rows past the table have a mask of zeros.
    order = np.append(order, np.arange(len(windows), batch_size, dtype=np.int64))
    for step in range(first, steps_per_epoch(windows, batch_size, drop_remainder=True)):
        rows = order[step * batch_size : (step + 1) * batch_size]
        yield _gather(windows, rows, reset=np.ones(len(rows), bool))


def steps_per_epoch(windows: Windows, rows: int, drop_remainder: bool = False) -> int:
    """Count the batches of an epoch; `drop_remainder`: only those with all their rows, at least one."""
    return max(1, len(windows) // rows) if drop_remainder else -(-len(windows) // rows)


def _shuffle(count: int, buffer: int, seed: Seed) -> Iterator[int]:
    random = np.random.default_rng(seed)
    if buffer >= count:
        yield from random.permutation(count)
        return
    held = list(range(buffer))
    for incoming in range(buffer, count):
        place = int(random.integers(buffer))
        yield held[place]
        held[place] = incoming
    random.shuffle(held)
    yield from held


def _gather(windows: Windows, rows: NDArray[np.int64], reset: NDArray[np.bool_]) -> Batch:
    exists = rows < len(windows)  # the last stream may be shorter than the others
    rows = np.minimum(rows, len(windows) - 1)
    length = np.where(exists, windows.lengths[rows], 0)[:, None]
    time = np.arange(windows.size + 1)[None, :]  # (1, time + 1)
    at = np.minimum(windows.starts[rows][:, None] + time, len(windows.ids) - 1)
    ids = windows.ids[at].astype(np.int32)  # (batch, time + 1)
    counts = time[:, :-1] < length
    inputs, targets = ids[:, :-1] * counts, ids[:, 1:] * counts
    return Batch(inputs, targets, counts.astype(np.float32), (~reset).astype(np.float32)[:, None])
