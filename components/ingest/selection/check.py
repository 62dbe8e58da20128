"""Check that a corpus can be trained on and evaluated with, before long work starts."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from components import command_line
from components.errors import UserError
from components.ingest import corpora, documents, passages, text
from components.ingest.corpora import Corpus
from components.ingest.local_files import SourceFile
from components.ingest.selection.facts import CorpusFacts
from components.ingest.selection.overlap import Overlap

_LARGEST_EVAL_FRACTION = 0.5  # that the configuration allows
_HOLDOUT = 1.0, 0.0  # fractions of an eval text: all of it is eval


def find_holdout(source: str, cache: Path, suffixes: tuple[str, ...] | None, column: str | None) -> Corpus:
    """Return the documents of an eval text, `corpus.holdout`, which is found as a corpus is.

    Raises:
      UserError: as `corpora.resolve`, but the message names the configuration value.
    """
    try:
        return corpora.resolve(source, None, cache, suffixes, column)
    except UserError as error:
        raise UserError(f"The eval text, corpus.holdout, cannot be used. {error}") from error


def check(
    corpus: Corpus,
    min_chars: int,
    passage_length: int,
    eval_fraction: float,
    test_fraction: float,
    rule: str = documents.FILE,
    reading: text.Reading = text.PLAIN,
    holdout: Corpus | None = None,
) -> CorpusFacts:
    """Return the sizes of a corpus that can be trained on; holds one file, or row of a table, in memory at a time.

    Args:
      corpus: the resolved documents.
      min_chars: the fewest characters that all documents must have together, after cleaning.
      passage_length: the most targets in one passage, at least 1.
      eval_fraction: fraction of each document's characters for the eval split; with a holdout, none is for it.
      test_fraction: fraction of each document's characters for the test split.
      rule: what one document is, see `passages.blocks`.
      reading: how a file is read.
      holdout: the documents of the eval split, if they are not a part of the corpus.

    Raises:
      UserError: a document cannot be read as text; the corpus is empty, shorter than `min_chars` or without a train or
        eval split; the holdout is too short to measure anything; or a setting is out of range.
    """
    passages.require_passage_length(passage_length)
    passages.blocks("", eval_fraction, test_fraction, rule)
    evaluated = overlap = None
    fractions = eval_fraction, test_fraction
    if holdout:
        overlap = Overlap(rule)
        evaluated = _Totals(holdout, _HOLDOUT, rule, reading, overlap.add_eval)
        _check_holdout(evaluated)
        fractions = 0.0, test_fraction
    total = _Totals(corpus, fractions, rule, reading, overlap.add_train if overlap else None)
    if not "".join(total.distinct - {documents.END}).strip():
        raise UserError(
            f"The corpus {corpus.label!r} is empty: its documents, or rows, contain only white space, byte-order marks "
            f"and licenses. Name files that contain text. Received: {total.size}"
        )
    if total.characters < min_chars:
        raise UserError(
            f"The corpus {corpus.label!r} is too short to learn from: it has fewer than the {min_chars} characters "
            f"required. Add text or lower that minimum (min_chars). Received: {total.size}"
        )
    evaluated = evaluated or total
    if not (total.targets["train"] and evaluated.targets["eval"]):
        raise _no_split(total, eval_fraction, rule)
    return CorpusFacts(
        total.documents,
        total.characters,
        evaluated.targets["eval"],
        len(total.distinct),
        tuple(total.unused),
        total.missing,
        f"{evaluated.eval_digest:064x}"[:16],
        overlap.share if overlap else 0.0,
    )


class _Totals:
    """Sizes of all files of a corpus together, see `passages.Sizes`; `longest` is in characters of a file."""

    def __init__(
        self,
        corpus: Corpus,
        fractions: tuple[float, float],
        rule: str,
        reading: text.Reading,
        visit: Callable[[str], None] | None,
    ) -> None:
        """Measure the files.

        Args:
          visit: called with each clean text, or row of a table.
        """
        self.label = corpus.label
        self.documents = self.characters = self.longest = self.missing = self.eval_digest = 0
        self.targets = Counter[str]()
        self.distinct: set[str] = set()
        self.unused: list[str] = []
        for file in corpus.files:
            sizes = _measure(file, fractions, rule, reading, visit or (lambda _: None))
            if sizes.characters < passages.MIN_DOCUMENT:
                self.unused.append(file.name)
                continue
            self.documents += sizes.documents
            self.missing += sizes.missing
            self.characters += sizes.characters
            self.longest = max(self.longest, sizes.characters)
            self.distinct |= sizes.distinct
            self.targets.update(sizes.targets)
            self.eval_digest = passages.joined(self.eval_digest, sizes.eval_digest)
        self.documents += len(self.unused)

    @property
    def size(self) -> str:
        """Characters and documents, for a message."""
        return f"{self.characters} characters in {command_line.counted(self.documents, 'document')}"


def _measure(
    file: SourceFile,
    fractions: tuple[float, float],
    rule: str,
    reading: text.Reading,
    visit: Callable[[str], None],
) -> passages.Sizes:
    if rule == documents.ROW:
        return passages.measure_rows(_visited(file, reading, visit), *fractions)
    content = text.read_document(file.read(), file.name, file.typed, reading)
    visit(content)
    return passages.measure(content, *fractions, rule)


def _visited(file: SourceFile, reading: text.Reading, visit: Callable[[str], None]) -> Iterator[str]:
    for row in text.read_rows(file.open, file.name, file.typed, reading):
        visit(row)
        yield row


def _check_holdout(found: _Totals) -> None:
    if found.targets["eval"] >= passages.MIN_HELD_OUT and "".join(found.distinct - {documents.END}).strip():
        return
    raise UserError(
        f"The eval text, corpus.holdout, is too short to evaluate a model on: it must have more than "
        f"{passages.MIN_HELD_OUT} characters without byte-order marks and licenses, and 10,000 or more give a stable "
        f"perplexity. Name a longer text. Received: corpus.holdout={found.label}, {found.size}"
    )


def _no_split(found: _Totals, eval_fraction: float, rule: str) -> UserError:
    lacking = "no eval split to evaluate the model on" if found.targets["train"] else "no train split to learn from"
    lacks = f"The corpus {found.label!r} has {lacking}"
    if rule == documents.FILE:
        return UserError(
            f"{lacks}: a document whose held-out part would have fewer than {passages.MIN_HELD_OUT} characters is "
            f"in one split as a whole. {_held_out_advice(found.longest, found.characters)} Received: "
            f"eval_fraction={eval_fraction}, longest document {found.longest} characters, {found.size}"
        )
    return UserError(
        f"{lacks}: each document is in one split as a whole, equal ones in the same, and there are too few. Check "
        "that corpus.documents describes what separates them, add documents, or change eval_fraction. Received: "
        f"corpus.documents={rule}, eval_fraction={eval_fraction}, {found.size}"
    )


def _held_out_advice(longest: int, characters: int) -> str:
    """Return what gives a corpus both splits, a sentence or two that can be followed."""
    if (fraction := _sufficient(longest)) is not None:
        return f"Raise eval_fraction to {fraction} or more, add documents, or join short ones to longer ones."
    if (fraction := _sufficient(characters)) is not None:
        return (
            f"No eval_fraction up to {_LARGEST_EVAL_FRACTION} holds out a part of documents as short as these: add "
            "more of them, or join them to one, for example with `cat *.txt > joined.txt` in their directory, and set "
            f"eval_fraction to {fraction} or more."
        )
    needed = math.ceil(passages.MIN_HELD_OUT / _LARGEST_EVAL_FRACTION)
    return (
        f"Add documents, or text: a document of {needed} characters is enough with an eval_fraction of "
        f"{_LARGEST_EVAL_FRACTION}."
    )


def _sufficient(length: int) -> float | None:
    """Return the eval_fraction, in hundredths, that holds out enough of a document; None: it would be too large."""
    fraction = math.ceil(100 * passages.MIN_HELD_OUT / length) / 100 if length else math.inf
    return fraction if fraction <= _LARGEST_EVAL_FRACTION else None
