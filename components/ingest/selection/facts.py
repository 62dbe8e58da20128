"""What is known of a corpus that can be trained on."""

from dataclasses import dataclass, field

from components import command_line
from components.ingest import passages

_NAMED = 5  # most documents that a warning names
_MIN_OVERLAP = 0.01  # lines that any two texts may share are no reason for a warning


@dataclass(frozen=True)
class CorpusFacts:
    """Sizes of a checked corpus, after cleaning.

    Attributes:
      documents: number of documents, unused files included.
      characters: number of characters of all documents together.
      eval_chars: number of targets of the eval split.
      distinct: number of distinct characters.
      unused: names of the documents with fewer than two characters, in which there is nothing to predict.
      missing: number of rows of tables without text.
      eval_digest: of the text of the eval split; its documents' names and order do not change it.
      overlap: share of the holdout's characters whose lines, or documents, are in the training text as well.
    """

    documents: int
    characters: int
    eval_chars: int
    distinct: int
    unused: tuple[str, ...] = ()
    missing: int = 0
    eval_digest: str = field(default="", compare=False)
    overlap: float = 0.0

    @property
    def note(self) -> str | None:
        """A warning for the user, one paragraph; None if there is none."""
        notes = [f"Without text and left out: {command_line.counted(self.missing, 'row')}."] if self.missing else []
        notes += [self._unused_note] if self.unused else []
        if self.overlap >= _MIN_OVERLAP:
            notes.append(
                f"{self.overlap:.1%} of the eval text (corpus.holdout) is in the training text, too, so its perplexity "
                "is lower than that of a new text. Take those documents out of one of the two."
            )
        return " ".join(notes) or None

    @property
    def _unused_note(self) -> str:
        named = ", ".join(map(repr, self.unused[:_NAMED]))
        if len(self.unused) > _NAMED:
            named += f" and {len(self.unused) - _NAMED} more"
        return (
            f"{len(self.unused)} of {self.documents} documents have fewer than {passages.MIN_DOCUMENT} characters "
            f"without byte-order marks and licenses, so they are left out: {named}. If they should contain text, fix "
            "them and run again."
        )
