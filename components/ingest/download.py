"""Download files into a cache and verify their SHA-256."""

import hashlib
import os
import re
import time
from pathlib import Path
from urllib.parse import unquote

from components import files
from components.errors import UserError

AUTHORIZATION = "CORPUS_AUTHORIZATION"  # environment variable
RETRY_PAUSES = (0.5, 2.0)  # seconds
TIMEOUTS = (10, 60)  # seconds to connect, and between two reads
_START = 1024  # bytes in which a web page is recognized
_HTML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html[\s>])", re.IGNORECASE)


class _TryAgain(UserError):
    """A download that failed for a reason that may be temporary."""


class Unreachable(_TryAgain):
    """A download that failed without a complete response."""


def authorization() -> str | None:
    """Return the secret for a private text, from the environment; without the line break that a file ends with.

    Raises:
      UserError: it cannot be sent; the message does not have it, and a library's would.
    """
    secret = os.environ.get(AUTHORIZATION, "").strip()
    if not (secret.isascii() and secret.isprintable()):
        raise UserError(
            "The Authorization header of a private text is one line of ASCII text, for example: Bearer TOKEN. Correct "
            f"the environment variable. Received: {AUTHORIZATION} with a line break or another such character"
        )
    return secret or None


def fetch(url: str, expected: str | None, cache: Path, authorization: str | None = None) -> Path:
    """Return the path in the cache of the file at an http(s) URL; download it if it is missing or damaged.

    Args:
      url: the address.
      expected: SHA-256 in hex digits; None: any content is valid, and a cached file is not downloaded again.
      cache: directory, created if necessary.
      authorization: the request's header of that name; redirects to other hosts do not get it.

    Raises:
      Unreachable: no complete response after several attempts, or the cache cannot be written.
      UserError: the server reports an error or sends a web page, or the checksum differs.
    """
    # File systems limit the length of a name; its end is the informative part.
    target = cache.absolute() / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{name(url)[-50:]}"
    if _is_good(target, expected):
        return target
    for pause in RETRY_PAUSES:
        try:
            return _download(url, expected, target, authorization)
        except _TryAgain:
            time.sleep(pause)
    return _download(url, expected, target, authorization)


def name(url: str) -> str:
    """Return the name of the file at a URL: the last part of its path."""
    last = unquote(re.split("[?#]", url)[0]).replace("\0", "").rstrip("/").rpartition("/")[2]
    return "document.txt" if last in ("", ".", "..") else last


def root_of(error: BaseException) -> str:
    """Return the message of the first cause, without addresses of Python objects."""
    while (inner := error.__cause__ or getattr(next(iter(error.args), None), "reason", None)) and inner is not error:
        error = inner
    return re.sub(r"<\S+ object at \w+>[:,] ", "", str(error))


def mismatch(where: str, expected: str, actual: str) -> UserError:
    """Return the error for a file, at a URL or a path, with a wrong SHA-256."""
    return UserError(
        f"The corpus at {where} has another SHA-256 checksum than the {expected} expected: it was changed or damaged. "
        f"Download it again, or set the checksum of the right file. Received: {actual}"
    )


def _is_good(cached: Path, expected: str | None) -> bool:
    try:
        if expected is None:
            with cached.open("rb") as file:
                return not _is_html(file.read(_START))
        return hashlib.sha256(cached.read_bytes()).hexdigest() == expected
    except OSError:
        return False


def _is_html(start: bytes) -> bool:
    return _HTML.match(start) is not None


def _download(url: str, expected: str | None, target: Path, authorization: str | None) -> Path:
    import requests  # a slow import, and most runs need no download

    digest = hashlib.sha256()
    headers = {"Authorization": authorization} if authorization else {}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        request = requests.get(url, stream=True, timeout=TIMEOUTS, headers=headers)
        with request as response, files.replacing(target) as file:
            if not response.ok:
                kind = _TryAgain if response.status_code >= 500 else UserError
                hint = f"; {AUTHORIZATION} holds the Authorization header of a private text"
                denied = response.status_code in (401, 403)
                raise _failed(url, f"HTTP {response.status_code} {response.reason}{hint if denied else ''}", kind)
            media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
            for chunk in response.iter_content(1 << 20):
                # A checksum means exactly this content, whatever it is.
                if expected is None and not file.tell() and (media_type == "text/html" or _is_html(chunk[:_START])):
                    raise _web_page(url, media_type)
                digest.update(chunk)
                file.write(chunk)
            announced, received = response.headers.get("Content-Length", ""), response.raw.tell()
            if announced.isdecimal() and received < int(announced):  # requests does not check this
                raise _failed(url, f"it ended after {received} of {announced} bytes", Unreachable)
            if expected not in (None, digest.hexdigest()):
                target.unlink(missing_ok=True)
                raise mismatch(url, str(expected), digest.hexdigest())
        return target
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise _failed(url, error, Unreachable) from error
    except requests.RequestException as error:
        raise _failed(url, error) from error
    except OSError as error:
        reason = f"it cannot be stored in the cache {target.parent} ({error}); XDG_CACHE_HOME sets another directory"
        raise _failed(url, reason, Unreachable) from error


def _web_page(url: str, media_type: str) -> UserError:
    return UserError(
        f"The server sent a web page (HTML) for {url} instead of a plain text: a login, an error, or a viewer that "
        "shows the file. Open the address in a browser, find the link to the file itself (often named raw or download),"
        f" and use that, or save the text and give its path (--corpus PATH). For a private text, {AUTHORIZATION} holds "
        f"the Authorization header. Received: content type {media_type or 'not given'}"
    )


def _failed(url: str, reason: object, kind: type[UserError] = UserError) -> UserError:
    cause = root_of(reason) if isinstance(reason, BaseException) else reason
    return kind(
        f"The corpus at {url} cannot be downloaded: {cause}. Check the address and the network, or download it by "
        f"hand and give its path (--corpus PATH). Received: {url}"
    )
