"""Bytes that are not UTF-8: recognize what they are, and name the shell command that converts them."""

import re
import shlex
import unicodedata
from dataclasses import dataclass

from components.errors import UserError

_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_UNMARKED = ("UTF-32LE", "UTF-32BE", "UTF-16LE", "UTF-16BE")
_SAMPLE = 1 << 16  # bytes that a guess reads; a multiple of the longest unit
_DAMAGED = 10  # valid characters beyond ASCII for each invalid byte, at least, in a damaged UTF-8 text
_SHOWN = 20  # characters on either side of the place that a message shows
# Guesses whose names iconv knows as well.
_ICONV = re.compile(r"cp\d+|gb18030|big5|euc_(?:jp|kr)|shift_jis|koi8_[ru]|iso8859_\d+")


@dataclass(frozen=True)
class Place:
    """Where the bytes of a document come from.

    Attributes:
      name: the document's name in messages.
      path: the file for a shell in the working directory; None: there is none, for example for standard input.
      compressed: whether the file's content is gzip data.
    """

    name: str
    path: str | None
    compressed: bool

    def convert(self, arguments: str, omits: bool = False) -> str:
        """Return the command that writes a converted copy of the file into the working directory.

        Args:
          arguments: of iconv, without the target encoding.
          omits: whether iconv leaves something out and therefore exits with 1: the command succeeds if there is a copy.
        """
        command = f"iconv {arguments} -t UTF-8"
        if self.path is None:
            return f"`{command}`"
        quoted = shlex.quote(self.path if not self.path.startswith("-") else f"./{self.path}")
        source = f"{command} {quoted}"
        if self.compressed:
            source = f"gunzip -c {quoted if self.path.endswith('.gz') else f'< {quoted}'} | {command}"
        copy = shlex.quote("utf8-" + re.sub(r"\.gz$", "", self.path.rpartition("/")[2]))
        return f"`{source} > {copy}{f' || test -s {copy}' if omits else ''}`"


def is_marked(data: bytes) -> bool:
    """Return whether the bytes start with the byte-order mark of UTF-16 or UTF-32."""
    return data.startswith(tuple(_MARKS))


def error(data: bytes, place: Place) -> UserError:
    """Return the error for decompressed bytes that are not UTF-8, or have a NUL byte.

    Offsets in the message are in bytes of the decompressed data, from 0.
    """
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return UserError(
                f"The document {place.name!r} is {encoding} according to its byte-order mark, and only UTF-8 is "
                f"supported. Convert it with {place.convert(f'-f {encoding}')}. Received: {data[:4]!r} at byte offset 0"
            )
    if (binary := data.find(b"\x00")) >= 0:
        if wide := _unmarked(data):
            return UserError(
                f"The document {place.name!r} looks like {wide} without a byte-order mark, and only UTF-8 is "
                f"supported. Convert it with {place.convert(f'-f {wide}')}. Received: 0x00 at byte offset {binary}"
            )
        return UserError(
            f"The document {place.name!r} looks binary: it contains a NUL character. Use plain text in UTF-8 "
            f"(extract the text of a PDF, EPUB or word processor file first). Received: 0x00 at byte offset {binary}"
        )
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as caught:
        offset, received = caught.start, f"0x{data[caught.start]:02x} ({caught.reason})"
    text = data.decode("utf-8", "surrogateescape")
    invalid = sum("\udc80" <= character <= "\udcff" for character in text)
    valid = sum(character > "\x7f" for character in text) - invalid
    if valid >= _DAMAGED * invalid:
        count = "one byte is" if invalid == 1 else f"{invalid} bytes are"
        return UserError(
            f"The document {place.name!r} is damaged UTF-8: {count} not valid, first at byte offset {offset}, among "
            f"{valid} valid characters beyond ASCII. Get an undamaged copy, or leave out what is not valid with "
            f"{place.convert('-c -f UTF-8', omits=True)}. Received: {received}"
        )
    guess, iconv = _guess(data)
    start = max(0, offset - _SHOWN)
    shown = data[start : offset + 2 * _SHOWN].decode(guess, "replace")
    return UserError(
        f"The document {place.name!r} is not UTF-8 at byte offset {offset}. It is probably {iconv}, in which that "
        f"place reads {shown!r}: then convert it with {place.convert(f'-f {iconv}')}. If not, ask where the text comes "
        f"from which encoding it has. Received: {received}"
    )


def _unmarked(data: bytes) -> str | None:
    """Return the UTF-16 or UTF-32 that the bytes are text in; None if they are in none."""
    best, most = None, 0
    for encoding in _UNMARKED:
        width = 4 if "32" in encoding else 2
        sample = data[:_SAMPLE]
        if len(data) % width:
            continue
        try:
            # A sample may end between the halves of a character.
            text = sample.decode(encoding) if len(data) <= _SAMPLE else sample.decode(encoding, "ignore")
        except UnicodeDecodeError:
            continue
        # Text has no control characters but spaces, which the wrong byte order turns into other characters.
        if any(unicodedata.category(c) in ("Cc", "Cn", "Co", "Cs") and c not in "\t\n\r\f\v" for c in text):
            continue
        if (spaces := text.count(" ") + text.count("\n")) > most:
            best, most = encoding, spaces
    return best


def _guess(data: bytes) -> tuple[str, str]:
    """Return the most probable legacy encoding, as Python and as iconv call it."""
    import charset_normalizer  # late: only this error needs it

    start = max(0, next(i for i, byte in enumerate(data) if byte > 0x7F) - _SAMPLE // 2)
    sample = data[start : start + _SAMPLE]
    found = charset_normalizer.from_bytes(sample)
    best = found.best()
    # Of encodings that fit equally well, the most common one.
    western = sample.decode("cp1252", "replace")
    if best is None or any(str(match) == western and match.chaos <= best.chaos for match in found):
        return "cp1252", "WINDOWS-1252"
    if not _ICONV.fullmatch(best.encoding):
        return "cp1252", "WINDOWS-1252"
    return best.encoding, best.encoding.upper().replace("ISO8859_", "ISO8859-").replace("_", "-")
