"""The vocabulary that tf.Transform computes: one code point per id, in order of frequency."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

UNICODE_SIZE = 0x110000  # code points that exist
END_OF_DOCUMENT = "\x03"  # `components.ingest.documents` puts it after each short document


@dataclass(frozen=True)
class Vocabulary:
    """Characters with separate ids; all others share the id `out_of_vocabulary`.

    Attributes:
      code_points: the character of each id.
      normalization: Unicode normalization form of the texts, `nfc` or None; `encode` expects such texts.
      fold_case: whether the case of the texts is folded.

    >>> vocabulary = Vocabulary(tuple(map(ord, "ab")))
    >>> vocabulary.encode("bad")
    [1, 0, 2]
    """

    code_points: tuple[int, ...]
    normalization: str | None = None
    fold_case: bool = False

    @classmethod
    def from_tokens(cls, tokens: Iterable[bytes]) -> "Vocabulary":
        """Read the zero-padded decimal code points that tf.Transform wrote, in order of their ids.

        Raises:
          ValueError: there is none, only tf.Transform's placeholder.
        """
        found = list(tokens)
        if not all(token.isdigit() for token in found):
            raise ValueError("The vocabulary is empty: no character occurs as often as vocabulary.min_count asks for.")
        return cls(tuple(map(int, found)))

    @property
    def characters(self) -> tuple[str, ...]:
        """The character of each id."""
        return tuple(map(chr, self.code_points))

    @property
    def out_of_vocabulary(self) -> int:
        """The id after the last character's."""
        return len(self.code_points)

    @property
    def size(self) -> int:
        """Number of ids, including the out-of-vocabulary one: width of a model's output layer."""
        return len(self.code_points) + 1

    @property
    def end_of_document(self) -> int | None:
        """The id of the end-of-document symbol; None if the texts have none."""
        found = self.encode(END_OF_DOCUMENT)[0]
        return None if found == self.out_of_vocabulary else found

    @property
    def start(self) -> int:
        """The id that is read before a text without a prompt.

        That of the end-of-document symbol, else of the line feed, else of the most frequent character.
        """
        found = (self.encode(character)[0] for character in (END_OF_DOCUMENT, "\n"))
        return next((i for i in found if i != self.out_of_vocabulary), 0)

    @property
    def unknown_characters(self) -> int:
        """Number of code points that share the out-of-vocabulary id."""
        return UNICODE_SIZE - len(self.code_points)

    @cached_property
    def _ids(self) -> dict[int, int]:
        return {code_point: i for i, code_point in enumerate(self.code_points)}

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""
        return [self._ids.get(ord(character), self.out_of_vocabulary) for character in text]

    def decode(self, ids: Iterable[int], unknown: str = "\ufffd") -> str:
        """Return the text of ids, with `unknown` for the out-of-vocabulary id."""
        return "".join(chr(self.code_points[i]) if i < len(self.code_points) else unknown for i in ids)
