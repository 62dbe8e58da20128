r"""Divide the text of a file into many short documents, and put each of them into one split as a whole.

The documents of a split become one text: an end-of-document symbol, then each document followed by that symbol. The
model learns where documents end, and a prompt of that symbol starts a new one.
"""

import hashlib
import re
from collections.abc import Iterator
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


def streams(text: str, rule: str, eval_fraction: Fraction, test_fraction: Fraction) -> tuple[dict[str, str], int]:
    """Return the text of each split that has documents, in the order train, eval, test, and the number of documents.

    The documents of a split are in the order of their digests. In the file's own order a neighbor could help to predict
    a document, in a sorted list for example, and a new document has none.
    """
    found: dict[str, list[str]] = {"train": [], "eval": [], "test": []}
    for document in divide(text, rule):
        found[split_of(document, eval_fraction, test_fraction)].append(document)
    joined = {
        split: END + "".join(document + END for document in sorted(some, key=_digest))
        for split, some in found.items()
        if some
    }
    return joined, sum(map(len, found.values()))


def _digest(document: str) -> bytes:
    return hashlib.sha256(document.encode("utf-8", "surrogatepass")).digest()
