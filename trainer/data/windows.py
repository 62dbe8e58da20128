"""Cut a split's ids into windows, and windows into batches: contiguous streams that carry state, or shuffled windows.

A document is a file, or within it what is between two end-of-document symbols; no window crosses its end.

NumPy on index tables: no text is copied, and a position in the data is two integers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Seed = int | Sequence[int]
MIN_WINDOWS_IN_A_STREAM = 4
_BLOCK = 1 << 24  # ids at a time


@dataclass(frozen=True)
class Windows:
    """A table of windows over one array of ids.

    Attributes:
      ids: all files of the split, concatenated, shape (characters,).
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
      ids: of each window's first input to its last target, and whatever follows a shorter one, (batch, time + 1).
      lengths: targets in each window, (batch,).
      carry_mask: float32 (batch, 1), zero where the carried state must be reset before the window.
    """

    ids: Array
    lengths: NDArray[np.int64]
    carry_mask: NDArray[np.float32]

    @property
    def mask(self) -> NDArray[np.float32]:
        """One where a target counts, (batch, time)."""
        return (np.arange(self.ids.shape[1] - 1) < self.lengths[:, None]).astype(np.float32)

    @property
    def inputs(self) -> NDArray[np.int32]:
        """Ids (batch, time); zero where `mask` is zero."""
        return self.ids[:, :-1] * self.mask.astype(np.int32)

    @property
    def targets(self) -> NDArray[np.int32]:
        """The id after each input (batch, time); zero where `mask` is zero."""
        return self.ids[:, 1:] * self.mask.astype(np.int32)


def contiguous(ids: Array, file_lengths: NDArray[np.int64], size: int, end: int | None = None) -> Windows:
    """Cut into adjacent windows that never cross the end of a document.

    Every character but each file's first is a target exactly once; a document's last window may be shorter.

    >>> contiguous(np.arange(8), np.array([8]), size=3).lengths.tolist()
    [3, 3, 1]
    >>> contiguous(np.array([9, 1, 2, 9, 1, 2, 3, 4, 9]), np.array([9]), size=4, end=9).lengths.tolist()
    [3, 4, 1]

    Args:
      end: id of the end-of-document symbol, the last target of each document and the first input of the next one.
    """
    begins, targets = documents(ids, file_lengths, end)
    if end is not None:
        size = min(size, max(2, int(targets.max(initial=0))))  # the rest would be padding in every window
    return _cut(ids, begins, targets, size, stride=size, keep_short=True)


def independent(ids: Array, file_lengths: NDArray[np.int64], size: int, end: int | None = None) -> Windows:
    """Cut into full windows that share no character, `size + 1` apart, and drop the rest: the tutorial's sequences.

    If no document contains a full window, or documents end with the symbol `end`, the shorter ones are kept.
    """
    if end is not None:
        return contiguous(ids, file_lengths, size, end)
    begins, targets = documents(ids, file_lengths)
    windows = _cut(ids, begins, targets, size, stride=size + 1, keep_short=False)
    return windows if len(windows) else _cut(ids, begins, targets, size, stride=size + 1, keep_short=True)


def documents(
    ids: Array, file_lengths: NDArray[np.int64], end: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the documents that have a character to predict.

    Returns:
      For each the index in `ids` of its first input, and the number of its targets, shape (documents,) both.
    """
    file_ends = np.cumsum(file_lengths)
    begins = file_ends - file_lengths
    if end is not None:
        blocks = range(0, len(ids), _BLOCK)  # a split may be larger than the memory
        symbols = [at + np.flatnonzero(np.asarray(ids[at : at + _BLOCK]) == end) for at in blocks]
        begins = np.union1d(begins, np.concatenate([*symbols, np.zeros(0, np.int64)]))
    file = np.minimum(np.searchsorted(file_ends, begins, side="right"), len(file_ends) - 1)
    last = file_ends[file] - 1
    targets = np.minimum(np.append(begins[1:], len(ids)), last) - begins
    return begins[targets > 0], targets[targets > 0]


def _cut(
    ids: Array, begins: NDArray[np.int64], targets: NDArray[np.int64], size: int, stride: int, keep_short: bool
) -> Windows:
    count = -(-targets // stride)  # of each document's windows
    # A gigabyte of text has millions of windows: as few arrays of that length at a time as possible.
    offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)  # within the document
    offset *= stride
    lengths = np.repeat(targets, count)
    lengths -= offset
    np.minimum(lengths, size, out=lengths)
    starts_document = offset == 0
    starts = offset
    starts += np.repeat(begins, count)
    if keep_short:
        return Windows(ids, starts, lengths, starts_document, size)
    full = lengths == size
    return Windows(ids, starts[full], lengths[full], starts_document[full], size)


def shuffle_documents(windows: Windows, seed: Seed) -> Windows:
    """Put the documents of contiguous windows into another order; each keeps its windows and their order."""
    if np.count_nonzero(windows.starts_document) < 2:
        return windows
    document = np.cumsum(windows.starts_document) - 1
    place = np.random.default_rng(seed).permutation(document[-1] + 1)
    order = np.argsort(place[document], kind="stable")
    starts, lengths, starts_document = windows.starts[order], windows.lengths[order], windows.starts_document[order]
    return replace(windows, starts=starts, lengths=lengths, starts_document=starts_document)


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
    at = windows.starts[rows][:, None] + np.arange(windows.size + 1)  # (batch, time + 1)
    ids = windows.ids[np.minimum(at, len(windows.ids) - 1)]
    return Batch(ids, np.where(exists, windows.lengths[rows], 0), (~reset).astype(np.float32)[:, None])
