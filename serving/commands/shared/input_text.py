"""Read the text that a command is given."""

import sys
from pathlib import Path

from components.errors import UserError
from components.ingest.text import read_document


def content(place: str) -> bytes:
    """The bytes of a file, or of standard input for `-`.

    Raises:
      UserError: it cannot be read.
    """
    if place == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(place).expanduser().read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"The file cannot be read: {reason}. Received: {place}") from error


def text(place: str, what: str) -> str:
    """The text of a file as it is, but for a byte-order mark.

    Raises:
      UserError: it cannot be read, or is not UTF-8.
    """
    data = content(place)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"The {what} is not UTF-8 at byte offset {error.start}. Convert it first, for example with iconv. "
            f"Received: {place}"
        ) from error


def document(place: str) -> str:
    """The text of a file as the pipeline reads it: gunzipped, cleaned.

    Raises:
      UserError: it cannot be read, or is not text in UTF-8.
    """
    return read_document(content(place), "standard input" if place == "-" else place)
