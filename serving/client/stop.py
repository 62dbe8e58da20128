"""End a text that arrives in pieces before the first occurrence of a stop string."""

import unicodedata


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
        # A model that normalizes texts or folds case writes another form of the stop string.
        folded = unicodedata.normalize("NFD", stop).casefold()
        composed = [unicodedata.normalize("NFC", text) for text in (stop, folded)]
        self._forms = (stop, stop.casefold(), *composed)
        self.held = ""
        self.found = False

    def read(self, piece: str, last: bool = False, stopped: bool = False) -> str:
        """Return the text that cannot be a part of the stop string; with the last piece, all that is before it.

        Args:
          piece: the next part of the text.
          last: whether it is the last one.
          stopped: whether the model reports that the stop string, in the form that it reads, ended the text.
        """
        text = self.held + piece
        end = text.find(self._stop) if self._stop else -1
        if end < 0 and stopped:
            end = next((len(text) - len(form) for form in self._forms if text.endswith(form)), len(text))
        self.found = end >= 0
        if not self.found:
            end = len(text) if last else len(text) - self._partial_match(text)
        self.held = "" if self.found else text[end:]
        return text[:end]

    def _partial_match(self, text: str) -> int:
        """Length of the longest end of `text` that is a beginning of the stop string."""
        longest = min(max(map(len, self._forms)) - 1, len(text))
        sizes = range(longest, 0, -1)
        return next((size for size in sizes if any(form.startswith(text[-size:]) for form in self._forms)), 0)
