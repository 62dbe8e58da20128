"""Find what a generated text shares with the training text, in one pass over the latter.

Only the generated text is indexed, so memory does not grow with the training text. A rolling hash of every span of the
training text is looked up among those of the generated spans; characters are compared before a span counts as copied
(Karp and Rabin, "Efficient randomized pattern-matching algorithms", 1987).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.documents import Split

Ids = NDArray[np.int64]
Hashes = NDArray[np.uint64]
_BLOCK = 1 << 20  # characters of the training text at a time
_MULTIPLIER = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
_FILTER_BITS = 20  # of a hash, which choose the element of a table of those that generated spans have


@dataclass(frozen=True)
class Copies:
    """What occurs in the training text.

    Attributes:
      shares: of the generated spans of each size; None if there are no such spans.
      longest: ids of the longest copy.
      document: index of a document that contains it; None if no character occurs in both texts.
      documents: complete generated documents.
      copied_documents: how many of them are documents of the training text.
    """

    shares: tuple[float | None, ...]
    longest: tuple[int, ...]
    document: int | None
    documents: int
    copied_documents: int


def find(train: Split, rows: Sequence[Sequence[int]], sizes: Sequence[int], end: int | None = None) -> Copies:
    """Look for spans and documents of a generated text in the training text.

    No span crosses the end of a row, of a file, or of a document. Spans are counted by their positions in the generated
    text: one that occurs twice counts twice.

    Args:
      rows: ids of the generated texts.
      sizes: characters of the spans, ascending.
      end: id of the end-of-document symbol; None if a document is a file.

    Example: tests/trainer/generalization/test_copies.py.
    """
    scan = _Scan(_Generated(rows, end), sizes)
    ends = np.cumsum(train.lengths)
    margin = scan.generated.longest + 2  # a span may reach into the next block
    for first in range(0, len(train.ids), _BLOCK):
        ids = np.asarray(train.ids[first : first + _BLOCK + margin], np.int64)
        scan.read(_Block(ids, first, ends))
    return scan.result(ends)


class _Text:
    """A text whose spans have hashes: a polynomial in random numbers, one for each character, modulo 2**64."""

    def __init__(self, ids: Ids) -> None:
        self.ids = ids
        values = _random(int(ids.max(initial=0)) + 2)[ids]  # -1, which no span contains, takes the last number
        self._inverses, powers = _powers(1 << max(21, len(ids).bit_length()))
        self._sums = np.append(np.uint64(0), np.cumsum(values * powers[: len(ids)]))

    def hashes(self, starts: Ids | None, sizes: Any) -> Hashes:
        """Return the hash of each span; None: of the spans of one size at all places that have one."""
        if starts is None:
            count = max(0, len(self.ids) - sizes + 1)
            sums: Hashes = self._sums[sizes : sizes + count] - self._sums[:count]
            return sums * self._inverses[:count]
        own: Hashes = (self._sums[starts + sizes] - self._sums[starts]) * self._inverses[starts]
        return own


class _Generated(_Text):
    """The rows, each followed by -1, which also replaces the end-of-document symbol."""

    def __init__(self, rows: Sequence[Sequence[int]], end: int | None) -> None:
        flat = np.array([i for row in rows for i in (*row, -1)], np.int64)
        borders = np.flatnonzero((flat == -1) | (flat == (-1 if end is None else end)))
        begins = np.append(0, borders[:-1] + 1)
        lengths = borders - begins
        complete = (flat[borders] != -1) & (lengths > 0)
        self.documents = begins[complete], lengths[complete]
        self.end = end
        flat[borders] = -1
        super().__init__(flat)
        self.longest = int(lengths.max(initial=0))
        # Characters from each place to the next border.
        self.room = np.repeat(borders, lengths + 1) - np.arange(len(flat))
        self.grams = lru_cache(maxsize=8)(self.grams_of)  # most blocks need the same one

    def grams_of(self, size: int) -> "_Grams":
        """Return the spans of this size."""
        starts = np.flatnonzero(self.room >= max(size, 1))
        return _Grams(self, starts, np.full(len(starts), size))


class _Block(_Text):
    """A part of the training text, with what spans that start in it may need of the next part."""

    def __init__(self, ids: Ids, first: int, ends: Ids) -> None:
        super().__init__(ids)
        self.first, self._ends = first, ends

    def places(self, starts: Ids, size: int) -> NDArray[np.bool_]:
        """Return whether the spans start in this block and end in the document that they start in."""
        at = self.first + starts
        return (starts < _BLOCK) & (at + size <= self._ends[np.searchsorted(self._ends, at, side="right")])


class _Grams:
    """Spans of the generated text by their hashes, and which of them were found."""

    def __init__(self, text: _Generated, starts: Ids, sizes: Ids) -> None:
        self._text = text
        hashes = text.hashes(starts, sizes)
        self._hashes, first, self._counts = np.unique(hashes, return_index=True, return_counts=True)
        self._starts, self._sizes = starts[first], sizes[first]
        self.found = np.zeros(len(self._hashes), bool)

    @cached_property
    def _filter(self) -> NDArray[np.bool_]:
        table = np.zeros(1 << _FILTER_BITS, bool)
        table[self._hashes >> np.uint64(64 - _FILTER_BITS)] = True
        return table

    def look_up(self, hashes: Hashes) -> tuple[Ids, Ids]:
        """Return which of the hashes are those of these spans, and of which: indices of both."""
        maybe = np.flatnonzero(self._filter[hashes >> np.uint64(64 - _FILTER_BITS)])
        which = np.minimum(np.searchsorted(self._hashes, hashes[maybe]), len(self._hashes) - 1)
        same = self._hashes[which] == hashes[maybe]
        return maybe[same], which[same]

    def note(self, block: _Block, starts: Ids, which: Ids) -> int | None:
        """Compare the characters of spans that were not found before.

        Returns:
          Where in the block one of those that are equal starts; None if none is.
        """
        known, first = np.unique(which, return_index=True)
        new = ~self.found[known]
        place = None
        for gram, start in zip(known[new], starts[first[new]]):
            at, size = self._starts[gram], self._sizes[gram]
            if np.array_equal(block.ids[start : start + size], self._text.ids[at : at + size]):
                self.found[gram], place = True, int(start)
        return place

    @property
    def total(self) -> int:
        """Number of spans."""
        return int(self._counts.sum())

    @property
    def copied(self) -> int:
        """Number of spans that were found."""
        return int(self._counts[self.found].sum())


class _Scan:
    """The state of one pass over the training text."""

    def __init__(self, generated: _Generated, sizes: Sequence[int]) -> None:
        self.generated = generated
        self._sizes = {size: generated.grams_of(size) for size in sizes}
        self._anchor = min(sizes)
        self._documents = _Grams(generated, *generated.documents)
        self._best, self._at = 0, 0  # characters of the longest copy, and where it is
        self._ids: tuple[int, ...] = ()

    def read(self, block: _Block) -> None:
        """Look for everything in the next part of the training text."""
        shortest = min(self._anchor, self._best + 1)  # looked up everywhere; longer copies start where these do
        starts, _ = self._matches(block, self.generated.grams(shortest), shortest, None)
        self._extend(block, starts)
        for size, grams in self._sizes.items():
            starts, which = self._matches(block, grams, size, starts)
            grams.note(block, starts, which)
        if self.generated.end is not None:
            self._read_documents(block, self.generated.end)

    @staticmethod
    def _matches(block: _Block, grams: _Grams, size: int, starts: Ids | None) -> tuple[Ids, Ids]:
        """Return the places in the block where generated spans of a size start, and which; None: of all places."""
        if not grams.total:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        if starts is None:
            starts, which = grams.look_up(block.hashes(None, size))
            inside = block.places(starts, size)
            return starts[inside], which[inside]
        starts = starts[block.places(starts, size)]
        found, which = grams.look_up(block.hashes(starts, size))
        return starts[found], which

    def _extend(self, block: _Block, starts: Ids) -> None:
        """Look for a copy that is longer than the longest one so far, with larger steps while it succeeds."""
        step = 1
        while step:
            size = self._best + step
            grams = self.generated.grams(size)
            longer, which = self._matches(block, grams, size, starts)
            place = grams.note(block, longer, which)
            if place is None:
                step //= 2
            else:
                self._best, self._at, starts, step = size, block.first + place, longer, step * 2
                self._ids = tuple(map(int, block.ids[place : place + size]))

    def _read_documents(self, block: _Block, end: int) -> None:
        borders = np.flatnonzero(block.ids == end)
        starts, sizes = borders[:-1] + 1, np.diff(borders) - 1
        chosen = (borders[:-1] < _BLOCK) & (sizes > 0) & (sizes <= self.generated.longest)
        starts, sizes = starts[chosen], sizes[chosen]
        if self._documents.total:
            found, which = self._documents.look_up(block.hashes(starts, sizes))
            # Equal hashes of different sizes would be a collision, and the comparison finds it.
            self._documents.note(block, starts[found], which)

    def result(self, ends: Ids) -> Copies:
        """Return what was found."""
        shares = [grams.copied / grams.total if grams.total else None for grams in self._sizes.values()]
        document = int(np.searchsorted(ends, self._at, side="right")) if self._best else None
        return Copies(tuple(shares), self._ids, document, self._documents.total, self._documents.copied)


@lru_cache(maxsize=4)
def _random(count: int) -> Hashes:
    """Return a random number for each id: for more ids, more numbers after the same ones."""
    return np.random.default_rng(0).integers(0, 2**64, max(count, 1 << 16), np.uint64)


@lru_cache(maxsize=1)
def _powers(count: int) -> tuple[Hashes, Hashes]:
    """Return that many powers of the multiplier's inverse, and of the multiplier."""
    bases = np.array([pow(_MULTIPLIER, -1, 2**64), _MULTIPLIER], np.uint64)
    tables = np.repeat(bases[:, None], count, axis=1)
    tables[:, 0] = 1
    inverses, powers = np.multiply.accumulate(tables, axis=1)
    return inverses, powers
