"""Which characters of a text a model does not know: how the signature `eval_nll` is asked for them.

A row is a line feed and one character, so that the row's number of unknown characters is that of this one, however
long the text is.
"""

import unicodedata
from collections.abc import Iterator, Sequence

_ROWS = 256  # of one request, fewer than any export refuses


def split(text: str) -> list[str]:
    r"""Return the characters of a text, each with the marks that follow: normalization may compose them to one.

    >>> split("le\u0301a") == ["l", "e\u0301", "a"]
    True
    """
    found: list[str] = []
    for one in text:
        # Vowels and final consonants of decomposed Hangul are not marks, but are composed as well.
        if found and (unicodedata.category(one)[0] == "M" or "\u1160" <= one <= "\u11ff"):
            found[-1] += one
        else:
            found.append(one)
    return found


def batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yield the distinct characters of texts as `split` returns them, in parts for one request."""
    distinct = list(dict.fromkeys(one for text in texts for one in split(text)))
    return (distinct[first : first + _ROWS] for first in range(0, len(distinct), _ROWS))


def example(character: str) -> bytes:
    """Return a serialized `tf.Example` whose feature `text` is a line feed and this character."""
    values = _field(1, _field(1, f"\n{character}".encode()))  # Feature.bytes_list, BytesList.value
    entry = _field(1, b"text") + _field(2, values)  # an entry of the map Features.feature: key and value
    return _field(1, _field(1, entry))  # Example.features, Features.feature


def _field(number: int, value: bytes) -> bytes:
    """Return a length-delimited field of a protocol buffer."""
    length, size = len(value), bytearray()
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number << 3 | 2, *size, length]) + value
