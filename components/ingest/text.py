"""Decode and clean one file: bytes in, text out. No frameworks."""

import contextlib
import gzip
import io
import re
import shlex
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from components.errors import UserError
from components.ingest import documents, encoding, rows

_GZIP_MAGIC = b"\x1f\x8b"

# All carriage returns before a line feed, so that cleaning is idempotent. The look-behind keeps a long run of carriage
# returns linear.
_LINE_END = re.compile(r"(?<!\r)\r+\n")

_MARKER = r"^[ \t]*\*\*\*[ \t]*%s OF (?:THE|THIS) PROJECT GUTENBERG EBOOK"
# A long title wraps the marker onto a second line, which must not be a marker itself.
_START = re.compile(
    _MARKER % "START" + r"(?:[^\n]*\n(?![ \t]*\*\*\*[ \t]*(?:START|END) OF))??[^\n]*\*\*\*[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_END = re.compile(_MARKER % "END", re.IGNORECASE | re.MULTILINE)
_CREDIT = re.compile(r"\s*^[ \t]*Produced by\b[^\n]*(?:\n[^\n]*\S[^\n]*)*", re.MULTILINE)
# A long title wraps this line, too. The lines that follow it, up to the marker, belong to the same sentence.
_CLOSING = re.compile(
    r"^[ \t]*End of (?:the )?Project Gutenberg(?:['\u2019]s)?\b[^\n]*(?:\n[^\n]*\S[^\n]*){0,2}\s*\Z",
    re.IGNORECASE | re.MULTILINE,
)
# The publisher's note on other editions is between the markers but is not part of the work.
_EDITOR_NOTE = re.compile(r"^\[Project Gutenberg Editor['\u2019]s Note:[^\]]*\][ \t]*\n*", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Reading:
    """How the text of a file is read, besides decoding and cleaning.

    Attributes:
      column: the column of a table whose texts are the documents; None: the file is a text.
      normalization: `nfc` or None, see `normalize`.
      fold_case: whether case is folded.
    """

    column: str | None = None
    normalization: str | None = None
    fold_case: bool = False


PLAIN = Reading()


def normalize(text: str, form: str | None, fold_case: bool) -> str:
    r"""Return a text in a Unicode normalization form, with its case folded; idempotent.

    The exported graph does the same to prompts and scored texts (`transform.normalization`).

    Args:
      form: `nfc`, or None.
      fold_case: whether to fold the case: with a form of decomposed text, so that equivalent texts stay so.

    >>> normalize("STRASSE Ma\u0308rz stra\u00dfe", "nfc", True)
    'strasse m\xe4rz strasse'
    """
    if fold_case:
        text = (unicodedata.normalize("NFD", text) if form else text).casefold()
    return unicodedata.normalize("NFC", text) if form else text


def decode(data: bytes, name: str, path: str | None = None) -> str:
    """Return the text of one document's bytes, after decompression if they are gzip data.

    Args:
      data: content of the file, UTF-8 or gzip of UTF-8.
      name: name of the document in error messages.
      path: the file, for the commands in error messages; None if there is none.

    Raises:
      UserError: corrupt gzip data, an encoding other than UTF-8, or binary data. Offsets in the message are in bytes
        of the decompressed data, from 0.
    """
    compressed = data.startswith(_GZIP_MAGIC)
    if compressed:
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            test = f"gzip -t < {shlex.quote(path)}" if path else "gzip -t"
            raise UserError(
                f"The document {name!r} starts like a gzip file but cannot be decompressed. It is probably truncated "
                f"or damaged: test it with `{test}` and download it again. Received: {error}"
            ) from error
    if not encoding.is_marked(data) and b"\x00" not in data:
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode("utf-8")
    raise encoding.error(data, encoding.Place(name, path, compressed))


def clean(text: str) -> str:
    r"""Return the text without byte-order mark, CRLF line ends and Project Gutenberg license; idempotent.

    A carriage return that does not end a line stays. A text with Project Gutenberg START markers is reduced to the
    parts between each of them and the next END marker (or the end of the text), without the publisher's credit, closing
    line and editor's notes, and ends with one line feed. No other text is changed.

    >>> clean("\ufeffOne.\r\n")
    'One.\n'
    """
    # A removal can create another match, so repeat it. Every pass that changes the text makes it shorter.
    while (cleaned := _clean_once(text)) != text:
        text = cleaned
    return text


def read_document(data: bytes, name: str, path: str | None = None, reading: Reading = PLAIN) -> str:
    """Return the clean text of a file's bytes: of a table each row's text and the end-of-document symbol.

    Args are those of `decode`, and:
      reading: how the file is read.

    Raises:
      UserError: as `decode`, or as `rows.texts`.
    """
    if reading.column is not None:
        return "".join(row + documents.END for row in read_rows(lambda: io.BytesIO(data), name, path, reading))
    return normalize(clean(decode(data, name, path)), reading.normalization, reading.fold_case)


def read_rows(
    opened: Callable[[], BinaryIO], name: str, path: str | None = None, reading: Reading = PLAIN
) -> Iterator[str]:
    """Yield the clean text of each row of a table, "" where it is missing; holds one row in memory at a time.

    Args are those of `read_document`, but:
      opened: opens the file; called more than once.
    """
    with opened() as file:
        compressed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC

    def lines(newline: str) -> Iterator[str]:
        try:
            with (
                opened() as file,
                io.TextIOWrapper(
                    gzip.GzipFile(fileobj=file) if compressed else file, "utf-8", newline=newline
                ) as decoded,
            ):
                for number, line in enumerate(decoded):
                    if "\0" in line:
                        raise ValueError("a NUL character")
                    yield line if number else line.lstrip("\ufeff")
        except (ValueError, OSError, EOFError, zlib.error):
            with opened() as file:
                decode(file.read(), name, path)  # raises the error that names the place
            raise

    for row in rows.texts(lines, reading.column or "", name, None if compressed else path):
        yield normalize(clean(row).replace(documents.END, ""), reading.normalization, reading.fold_case)


def _clean_once(text: str) -> str:
    text = text.lstrip("\ufeff")
    if "\r\n" in text:
        text = _LINE_END.sub("\n", text)
    starts = list(_START.finditer(text))
    if not starts:
        return text
    # More than one START: the file contains several books. All of them are kept.
    ends = [start.start() for start in starts[1:]] + [len(text)]
    works = [_work(text[start.end() : end]) for start, end in zip(starts, ends, strict=True)]
    return "\n\n".join(work for work in works if work) + "\n"


def _work(section: str) -> str:
    """Return the work itself from the text after one START marker."""
    if end := _END.search(section):
        section = _CLOSING.sub("", section[: end.start()])
    if credit := _CREDIT.match(section):
        section = section[credit.end() :]
    return _EDITOR_NOTE.sub("", section).strip("\n")
