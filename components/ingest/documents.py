r"""Divide the text of a file into many short documents, and put each of them into one split as a whole.

The documents of a split become one text: an end-of-document symbol, then each document followed by that symbol. The
model learns where documents end, and a prompt of that symbol starts a new one.
"""

import hashlib
import re
import sqlite3
from collections.abc import Iterable, Iterator
from fractions import Fraction

from components.errors import UserError

END = "\x03"  # the end-of-document symbol, ASCII's "end of text"
FILE = "file"  # a file is one document
ROW = "row"  # the rows of a table: `text.read_document` puts the symbol after each
_SEPARATORS = {ROW: END, "line": r"\n", "blank_line": r"\n(?:[^\S\n]*\n)+"}
_RESOLUTION = 2**64  # of the number that a document's digest is turned into


def separator(rule: str) -> re.Pattern[str]:
    """Return the regular expression of what separates documents.

    Args:
      rule: `row`, `line`, `blank_line` or a regular expression; `^` and `$` match at each line.

    Raises:
      UserError: it is no regular expression, or one that matches an empty text.
    """
    try:
        if rule.lower() != rule and rule.lower() in (FILE, *_SEPARATORS):
            raise re.error("these words are in lower case")
        pattern = re.compile(_SEPARATORS.get(rule, rule), re.MULTILINE)
        if pattern.match(""):
            raise re.error("it matches an empty text, so that every character would be a document")
    except re.error as error:
        words = ", ".join(word for word in (FILE, *_SEPARATORS) if word != ROW)
        raise UserError(
            f"corpus.documents must be one of {words}, or a regular expression of what separates documents, for "
            f"example '^---$': {error}. Received: corpus.documents={rule}"
        ) from error
    return pattern


def divide(text: str, rule: str) -> Iterator[str]:
    r"""Yield the documents of a text, without line breaks around them; empty ones are left out.

    >>> list(divide("emma\nolivia\n\nava\n", "line"))
    ['emma', 'olivia', 'ava']
    """
    start = 0
    text = text if rule == ROW else text.replace(END, "")
    for found in separator(rule).finditer(text):
        if document := text[start : found.start()].strip("\n"):
            yield document
        start = found.end()
    if document := text[start:].strip("\n"):
        yield document


def split_of(document: str, eval_fraction: Fraction, test_fraction: Fraction) -> str:
    """Return the split of a document; equal documents are in the same split, whatever the others are."""
    position = Fraction(int.from_bytes(_digest(document)[:8], "big"), _RESOLUTION)
    if position < eval_fraction:
        return "eval"
    return "test" if position < eval_fraction + test_fraction else "train"


class Sorted:
    """The documents of each split in the order of their digests, in a temporary file.

    In the file's own order a neighbor could help to predict a document, in a sorted list for example, and a new
    document has none. Example: tests/components/ingest/test_documents.py.

    Attributes:
      count: number of documents.
      lengths: characters of each split that has documents, symbols included, in the order train, eval, test.
    """

    def __init__(self, found: Iterable[str], eval_fraction: Fraction, test_fraction: Fraction) -> None:
        """Store the documents; holds one of them in memory at a time."""
        self.count = 0
        lengths = {"train": 0, "eval": 0, "test": 0}

        def rows() -> Iterator[tuple[str, bytes, bytes]]:
            for document in found:
                split = split_of(document, eval_fraction, test_fraction)
                self.count += 1
                lengths[split] += len(document) + len(END)
                yield split, _digest(document), document.encode("utf-8", "surrogatepass")

        self._database = sqlite3.connect("")  # SQLite deletes this file when it is closed, and sorts outside of memory
        self._database.execute("CREATE TABLE document (split, digest, text)")
        self._database.executemany("INSERT INTO document VALUES (?, ?, ?)", rows())
        self.lengths = {split: len(END) + length for split, length in lengths.items() if length}

    def stream(self, split: str) -> Iterator[str]:
        """Yield the parts of a split's text: the end-of-document symbol, then each document followed by it."""
        yield END
        for (text,) in self._database.execute("SELECT text FROM document WHERE split = ? ORDER BY digest", (split,)):
            yield text.decode("utf-8", "surrogatepass") + END


def streams(text: str, rule: str, eval_fraction: Fraction, test_fraction: Fraction) -> tuple[dict[str, str], int]:
    """Return the text of each split that has documents, in the order train, eval, test, and the number of documents."""
    found = Sorted(divide(text, rule), eval_fraction, test_fraction)
    return {split: "".join(found.stream(split)) for split in found.lengths}, found.count


def digest(document: str) -> int:
    """Return a digest of a text, below 2**256."""
    return int.from_bytes(_digest(document), "big")


def _digest(document: str) -> bytes:
    return hashlib.sha256(document.encode("utf-8", "surrogatepass")).digest()
