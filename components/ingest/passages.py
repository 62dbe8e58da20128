"""Cut one clean document into passages: contiguous splits, each in overlapping pieces of nearly equal size."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import floor, isfinite

from components.errors import UserError
from components.ingest import documents

# Characters. A shorter held-out block is too small to measure anything, so it is not held out.
MIN_HELD_OUT = 100
# Characters. A shorter document has none to predict and is left out.
MIN_DOCUMENT = 2


@dataclass(frozen=True)
class Passage:
    """A piece of one document within one split.

    Attributes:
      split: `train`, `eval` or `test`.
      document: the document's name.
      position: offset, in characters, of the text's first character within the clean document.
      text: the character before the first target, then the targets.
    """

    split: str
    document: str
    position: int
    text: str


def split_blocks(length: int, eval_fraction: float, test_fraction: float = 0.0) -> list[tuple[str, int, int]]:
    """Return (split, start, end) in characters for a document of `length` characters, in document order.

    The blocks follow one another without a gap: train, eval, test. The size of a held-out block of fewer than
    `MIN_HELD_OUT` characters is added to train. Empty blocks are omitted. A document of fewer than `MIN_DOCUMENT`
    characters has no block. An eval_fraction of 1 is for a text that is only evaluated.

    >>> split_blocks(2000, 0.1)
    [('train', 0, 1800), ('eval', 1800, 2000)]

    Raises:
      UserError: the fractions are not numbers of at least 0 with a sum below 1, other than 1 and 0.
    """
    held_out = _held_out(eval_fraction, test_fraction)
    if length < MIN_DOCUMENT:
        return []
    train_end = floor(length * (1 - sum(held_out)))
    eval_end = floor(length * (1 - held_out[1]))
    sizes = {"eval": eval_end - train_end, "test": length - eval_end}
    sizes = {split: size if size >= MIN_HELD_OUT else 0 for split, size in sizes.items()}
    spans = []
    start = 0
    for split, size in {"train": length - sum(sizes.values()), **sizes}.items():
        if size:
            spans.append((split, start, start + size))
            start += size
    return spans


@dataclass(frozen=True)
class Block:
    """What a split has of a file: its offset, in characters, and its text."""

    split: str
    start: int
    text: str


def blocks(text: str, eval_fraction: float, test_fraction: float, rule: str) -> tuple[list[Block], int]:
    """Return the blocks of one clean file that are not empty, in the order train, eval, test, and its documents.

    Args:
      rule: what one document is, `corpus.documents`. Of a file that is one document each split is a part. A file whose
        eval part would have fewer than `MIN_HELD_OUT` characters, and documents other than files, are in one split as a
        whole, chosen by a digest of their text; then the start of a block is 0.

    Raises:
      UserError: fractions that `split_blocks` rejects, or a rule that is no regular expression.
    """
    if rule == documents.FILE:
        spans = split_blocks(len(text), eval_fraction, test_fraction)
        if spans and eval_fraction and "eval" not in [split for split, _, _ in spans]:
            spans = [(documents.split_of(text, *_held_out(eval_fraction, test_fraction)), 0, len(text))]
        return [Block(split, start, text[start:end]) for split, start, end in spans], 1
    streams, count = documents.streams(text, rule, *_held_out(eval_fraction, test_fraction))
    return [Block(split, 0, stream) for split, stream in streams.items()], count


def cut(
    document: str,
    text: str,
    passage_length: int,
    eval_fraction: float,
    test_fraction: float = 0.0,
    rule: str = documents.FILE,
) -> Iterator[Passage]:
    """Return the passages of one clean file, in the order of the text.

    A split of n characters has n - 1 targets, all but its first character. They fill ceil((n - 1) / passage_length)
    passages whose sizes differ by at most one. Every passage starts with the character before its first target, so
    consecutive passages overlap by one character, and every target is predicted once.

    >>> [passage.text for passage in cut("a.txt", "abcdefgh", 3, 0.1)]
    ['abc', 'cde', 'efgh']

    Args:
      document: the file's name.
      text: the clean text.
      passage_length: the most targets in one passage, at least 1.
      eval_fraction: fraction of the file's characters, or of its documents, for the eval split.
      test_fraction: the same for the test split; of a file that is one document, its end.
      rule: what one document is, see `blocks`.

    Raises:
      UserError: a passage length below 1, or what `blocks` rejects. Raised by the call, not by the iterator.
    """
    require_passage_length(passage_length)
    return (
        Passage(block.split, document, block.start + start, block.text[start:end])
        for block in blocks(text, eval_fraction, test_fraction, rule)[0]
        for start, end in _spans(len(block.text), passage_length)
    )


def cut_rows(
    document: str, rows: Iterable[str], passage_length: int, eval_fraction: float, test_fraction: float = 0.0
) -> Iterator[Passage]:
    """Return the passages of a table whose rows are documents, as `cut`; holds few documents in memory at a time.

    Args:
      document: the file's name.
      rows: the clean text of each row.
      passage_length: as for `cut`, like the following.
      eval_fraction: fraction of the documents for the eval split.
      test_fraction: the same for the test split.

    Raises:
      UserError: as `cut`.
    """
    require_passage_length(passage_length)
    found = documents.Sorted(
        (text for row in rows if (text := row.strip("\n"))), *_held_out(eval_fraction, test_fraction)
    )
    for split, length in found.lengths.items():
        parts, text, offset = found.stream(split), "", 0  # the text from this offset on
        for start, end in _spans(length, passage_length):
            if offset + len(text) < end:
                text, offset = text[start - offset :], start
                while len(text) < end - start:
                    text += next(parts)
            yield Passage(split, document, start, text[start - offset : end - offset])


@dataclass(frozen=True)
class Sizes:
    """Sizes of one file.

    Attributes:
      characters: number of characters; of a table those of its rows with an end-of-document symbol each.
      documents: number of documents.
      missing: number of rows without text.
      distinct: the different characters.
      targets: characters to predict in each split.
      eval_digest: of the texts of the eval split, whose order does not change it; below 2**256.
    """

    characters: int
    documents: int
    missing: int
    distinct: set[str]
    targets: Counter[str]
    eval_digest: int = 0


def measure(text: str, eval_fraction: float, test_fraction: float, rule: str) -> Sizes:
    """Measure a clean file. Args and errors are those of `blocks`."""
    found, count = blocks(text, eval_fraction, test_fraction, rule)
    targets = Counter({block.split: len(block.text) - 1 for block in found})
    evaluated = [block.text for block in found if block.split == "eval"]
    if rule != documents.FILE:
        evaluated = [one for stream in evaluated for one in stream.strip(documents.END).split(documents.END)]
    return Sizes(len(text), count, 0, set(text), targets, joined(*map(documents.digest, evaluated)))


def measure_rows(rows: Iterable[str], eval_fraction: float, test_fraction: float) -> Sizes:
    """Measure the clean texts of a table's rows, which `cut_rows` cuts; holds one of them in memory at a time."""
    held_out = _held_out(eval_fraction, test_fraction)
    characters = count = missing = eval_digest = 0
    distinct, targets = {documents.END}, Counter[str]()
    for row in rows:
        characters += len(row) + len(documents.END)
        distinct.update(row)
        if text := row.strip("\n"):
            count += 1
            split = documents.split_of(text, *held_out)
            targets[split] += len(text) + len(documents.END)
            if split == "eval":
                eval_digest = joined(eval_digest, documents.digest(text))
        else:
            missing += 1
    return Sizes(characters, count, missing, distinct, targets, eval_digest)


def joined(*digests: int) -> int:
    """Return the digest of several texts, in any order; each text counts as often as it occurs."""
    return sum(digests) % 2**256


def require_passage_length(passage_length: int) -> None:
    """Raise UserError for a passage length below 1 character."""
    if passage_length < 1:
        raise UserError(
            "A passage must have at least one character to predict: set passage_length to 1 or more. "
            f"Received: passage_length={passage_length}"
        )


def _spans(length: int, passage_length: int) -> Iterator[tuple[int, int]]:
    targets = length - 1
    if targets == 0:
        yield 0, 1
        return
    count = -(-targets // passage_length)
    for index in range(count):
        first, last = index * targets // count, (index + 1) * targets // count
        yield first, last + 1


def _held_out(eval_fraction: float, test_fraction: float) -> tuple[Fraction, Fraction]:
    held_out = _exact("eval_fraction", eval_fraction), _exact("test_fraction", test_fraction)
    if sum(held_out) >= 1 and (sum(held_out) > 1 or held_out[0] < 1):
        raise UserError(
            "The held-out parts leave no text to train on: eval_fraction and test_fraction must sum to less than 1. "
            f"Lower one of them. Received: eval_fraction={eval_fraction}, test_fraction={test_fraction}"
        )
    return held_out


def _exact(name: str, fraction: float) -> Fraction:
    """Return the exact decimal number that the user wrote; a binary float is not exactly 0.1."""
    if not isfinite(fraction) or fraction < 0:
        raise UserError(f"{name} is a part of each document and must be at least 0. Received: {name}={fraction}")
    return Fraction(repr(float(fraction)))
