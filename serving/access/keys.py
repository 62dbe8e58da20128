"""API keys: read from a file, written into the header of a request, and compared with those of a server."""

import base64
import binascii
import hashlib
import hmac
import logging
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from components.errors import UserError
from serving.client.protocol import is_loopback

SHORTEST = 16  # characters
_log = logging.getLogger(__name__)


def read(path: str) -> tuple[str, ...]:
    """Return the keys of a file, one in each line.

    Raises:
      UserError: the file cannot be read, or a line is no key. The message has no key.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UserError(f"The file of API keys cannot be read: {reason}. Fix its path. Received: {path}") from None
    keys = {number: line.strip() for number, line in enumerate(lines, 1) if line.strip()}
    for number, key in keys.items():
        if len(key) < SHORTEST or not key.isascii() or not key.isprintable() or " " in key:
            raise UserError(
                f"An API key has at least {SHORTEST} ASCII characters without spaces; `openssl rand -hex 32` makes "
                f"one. Received: line {number} of {path}, with {len(key)} characters"
            )
    if not keys:
        raise UserError(f"The file of API keys is empty. Write at least one key into it. Received: {path}")
    return tuple(keys.values())


def for_server(path: str | None, host: str, encrypted: bool) -> "Keys | None":
    """Return the keys that a server accepts; None without a file. Log a warning if others may read them.

    Raises:
      UserError: as `read` does.
    """
    if path is None:
        return None
    keys = Keys(read(path))
    mode = os.stat(path).st_mode
    if stat.S_ISREG(mode) and mode & 0o077:
        _log.warning("Other users can read or change the API keys in %s: chmod 600 %s", path, path)
    if not encrypted and not is_loopback(host):
        _log.warning("API keys and texts are sent to %s without encryption: give a certificate and its key", host)
    return keys


def header(key: str) -> dict[str, str]:
    """Return the header of a request with this key.

    >>> header("0123456789abcdef")
    {'Authorization': 'Bearer 0123456789abcdef'}
    """
    return {"Authorization": f"Bearer {key}"}


class Keys:
    """The keys that a server accepts; it keeps their SHA-256 only.

    >>> Keys(["0123456789abcdef"]).accept("Bearer 0123456789abcdef")
    True
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = [_digest(key.encode()) for key in keys]

    def accept(self, authorization: str) -> bool:
        """Return whether the value of a header `Authorization` has one of the keys.

        That is `Bearer KEY`; or `Basic ...`, which browsers send, with any user name and the key as the password.
        The time does not depend on the keys: digests of equal length are compared, with all keys and to the end.
        """
        given = _digest(_credential(authorization))
        return sum([hmac.compare_digest(given, digest) for digest in self._digests]) > 0


def _credential(authorization: str) -> bytes:
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode("utf-8", "surrogateescape")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return b""


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
