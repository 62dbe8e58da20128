"""End a text that arrives in pieces before the first occurrence of a stop string."""


class StopString:
    r"""Passes a text on up to a stop string, which is never passed on, not even in part.

    Attributes:
      held: the end of the text so far that may be the beginning of the stop string.
      found: whether the stop string has ended the text.

    Example:
      >>> stop = StopString("\n\n")
      >>> [stop.read(piece) for piece in ("a\n", "b\n", "\nc")], stop.found
      (['a', '\nb', ''], True)
    """

    def __init__(self, stop: str) -> None:
        """Take the stop string; an empty one never ends the text."""
        self._stop = stop
        self.held = ""
        self.found = False

    def read(self, piece: str, last: bool = False) -> str:
        """Return the text that cannot be a part of the stop string; with the last piece, all that is before it."""
        text = self.held + piece
        end = text.find(self._stop) if self._stop else -1
        self.found = end >= 0
        if not self.found:
            end = len(text) if last else len(text) - self._partial_match(text)
        self.held = "" if self.found else text[end:]
        return text[:end]

    def _partial_match(self, text: str) -> int:
        """Length of the longest end of `text` that is a beginning of the stop string."""
        longest = min(len(self._stop) - 1, len(text))
        return next((size for size in range(longest, 0, -1) if self._stop.startswith(text[-size:])), 0)
