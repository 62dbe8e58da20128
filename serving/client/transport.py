"""What the blocking and the asynchronous client tell httpx, and how they read what it says."""

import ipaddress
from collections.abc import Mapping
from typing import Any

import httpx

from serving.client.protocol import Answer, Lost, Protocol
from serving.client.values import number, whole

DEFAULT_URL = "http://127.0.0.1:8501"
TIMEOUT = 120.0  # seconds; a hundred thousand characters take a minute
RETRIES = 5  # about three seconds in all: a server that is started again is back by then
_CONNECT_SECONDS = 5.0
_NO_NAMES = ("", ".", "..")  # the last two would be taken out of the path on the way
_LONGEST_TIMEOUT = 1_000_000.0  # seconds: the system counts nanoseconds, and not without end


def protocol(url: str, model: str, version: int | None, label: str | None, retries: int) -> Protocol:
    """Check where requests go; raises `ValueError` with the bad value."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise ValueError(f"The server's address is no URL: {error}. Received: url={url!r}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"The server's address must begin with http:// or https://. Received: url={url!r}")
    if parsed.query or parsed.fragment:
        raise ValueError(f"The server's address may have no query and no fragment. Received: url={url!r}")
    if parsed.port is not None and not 0 < parsed.port < 2**16:
        raise ValueError(f"A port is a number from 1 to 65535. Received: url={url!r}")
    if model in _NO_NAMES:
        raise ValueError(f"The model's name may be neither empty nor one or two dots. Received: model={model!r}")
    if version is not None and label is not None:
        raise ValueError(f"Give a version or a label, not both. Received: version={version}, label={label!r}")
    if version is not None and not 0 <= whole("version", version) < 2**63:
        raise ValueError(f"A version is a number from 0 up. Received: version={version}")
    if label in _NO_NAMES:
        raise ValueError(f"The label may be neither empty nor one or two dots. Received: label={label!r}")
    if whole("retries", retries) < 0:
        raise ValueError(f"retries must be 0 or more. Received: retries={retries}")
    return Protocol(url.rstrip("/"), model, version, label, retries)


def options(protocol: Protocol, timeout: float, headers: Mapping[str, str] | None) -> dict[str, Any]:
    """Arguments for `httpx.Client` and `httpx.AsyncClient`; raises `ValueError` for a bad time-out."""
    if not 0 < number("timeout", timeout) <= _LONGEST_TIMEOUT:
        raise ValueError(
            f"timeout must be above 0 and at most {_LONGEST_TIMEOUT:.0f} seconds. Received: timeout={timeout}"
        )
    return {
        "timeout": httpx.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS)),
        "headers": {"Content-Type": "application/json", "Accept": "application/json", **(headers or {})},
        # A proxy that the environment names cannot reach this machine's own ports.
        "trust_env": not _is_loopback(httpx.URL(protocol.base).host),
    }


def answer(response: httpx.Response) -> Answer:
    """What a server said."""
    after = response.headers.get("Retry-After", "")
    return Answer(
        response.status_code, response.content, response.reason_phrase, float(after) if after.isdecimal() else None
    )


def lost(error: httpx.HTTPError) -> Lost:
    """Why no answer came."""
    reason = str(error) or type(error).__name__
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return Lost("timeout", reason)
    return Lost("connection" if isinstance(error, httpx.TransportError) else "undecodable", reason)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
