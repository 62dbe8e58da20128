"""How much of an eval text is in the training text as well: lines, or documents that are shorter than a file."""

from collections import Counter
from collections.abc import Iterator

from components.ingest import documents

_MIN_LINE = 20  # characters; shorter lines, such as headings, are in many texts


class Overlap:
    r"""Compares the pieces of two texts; holds those of the eval text in memory.

    >>> overlap = Overlap("line")
    >>> overlap.add_eval("emma\nava\n")
    >>> overlap.add_train("olivia\nemma\n")
    >>> round(overlap.share, 2)
    0.57

    Args:
      rule: what one document is, `corpus.documents`.
    """

    def __init__(self, rule: str) -> None:
        self._rule = rule
        self._unseen: Counter[str] = Counter()  # characters of each piece of the eval text
        self._total = self._seen = 0

    def add_eval(self, text: str) -> None:
        """Add a text of the eval side: a file or a row. All of them come before the training text."""
        for piece in self._pieces(text):
            self._unseen[piece] += len(piece)
            self._total += len(piece)

    def add_train(self, text: str) -> None:
        """Add a text of the training side."""
        for piece in self._pieces(text):
            if piece in self._unseen:
                self._seen += self._unseen.pop(piece)

    @property
    def share(self) -> float:
        """Share of the eval text's characters that were found in the training text."""
        return self._seen / self._total if self._total else 0.0

    def _pieces(self, text: str) -> Iterator[str]:
        if self._rule == documents.FILE:
            return (line for line in map(str.strip, text.split("\n")) if len(line) >= _MIN_LINE)
        return documents.divide(text, self._rule)
