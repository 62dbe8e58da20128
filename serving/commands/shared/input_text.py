"""Read the text of a command's input file."""

import sys
from pathlib import Path

from components.errors import UserError
from components.ingest.text import read_document


def content(path: str) -> bytes:
    """Read a file, or standard input for `-`.

    Raises:
      UserError: it cannot be read.
    """
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).expanduser().read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"The file cannot be read: {reason}. Received: {path}") from error


def text(path: str, what: str) -> str:
    """Read a text as it is, without a byte-order mark.

    Raises:
      UserError: it cannot be read, or is not UTF-8.
    """
    data = content(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"The {what} is not UTF-8 at byte offset {error.start}. Convert it first, for example with iconv. "
            f"Received: {path}"
        ) from error


def document(path: str) -> str:
    """Read a text as the pipeline does: decompressed and cleaned.

    Raises:
      UserError: it cannot be read, or is not text in UTF-8.
    """
    return read_document(content(path), *(("standard input", None) if path == "-" else (path, path)))
