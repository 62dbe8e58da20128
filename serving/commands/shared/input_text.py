"""Read the text of a command's input file."""

import sys
from pathlib import Path

from components.errors import UserError
from components.ingest.text import PLAIN, Reading, read_document


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


def document(path: str, reading: Reading = PLAIN) -> str:
    """Read a text as the pipeline does: decompressed and cleaned, of a table the texts of a column.

    Raises:
      UserError: it cannot be read, or is not text in UTF-8.
    """
    name, typed = ("standard input", None) if path == "-" else (path, path)
    return read_document(content(path), name, typed, reading)
