"""The httpx side that the blocking and the asynchronous client share: settings, responses and failures."""

import re
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeAlias, TypeVar

import httpx

from .protocol import Protocol, is_loopback
from .responses import Failure, Response
from .values import as_integer, as_number

DEFAULT_URL = "http://127.0.0.1:8501"
TIMEOUT = 120.0  # seconds; 100,000 characters take about a minute
RETRIES = 5  # about three seconds in all, enough for a server to restart
_CONNECT_SECONDS = 5.0
_NO_NAMES = ("", ".", "..")  # HTTP clients and proxies remove the last two from a path
_LONGEST_TIMEOUT = 1_000_000.0  # seconds; much longer ones overflow the system's nanoseconds
Http = TypeVar("Http", httpx.Client, httpx.AsyncClient)
Transport = TypeVar("Transport", httpx.BaseTransport, httpx.AsyncBaseTransport)
Auth: TypeAlias = tuple[str | bytes, str | bytes] | Callable[[httpx.Request], httpx.Request] | httpx.Auth


class BaseClient(Generic[Http, Transport]):
    """The constructor of both clients.

    Example, a client that an application's test can use without a server:
      >>> replies = httpx.MockTransport(lambda request: httpx.Response(200, json={"predictions": ["Good night."]}))
      >>> with Client("http://test", transport=replies) as client:
      ...     client.generate("ROMEO:", seed=7)
      'Good night.'
    """

    _http_class: type[Http]

    def __init__(
        self,
        url: str = DEFAULT_URL,
        model: str = "char_rnn",
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        headers: Mapping[str, str] | None = None,
        auth: Auth | None = None,
        verify: ssl.SSLContext | str | bool = True,
        transport: Transport | None = None,
    ) -> None:
        """Choose server and model; sends nothing yet.

        Args:
          url: the server, including any path that a proxy puts before `/v1`.
          model: name in requests.
          version: this version instead of the newest.
          label: the version with this label, for example `stable`.
          timeout: seconds to wait for the next byte of a response.
          retries: how often a request is repeated, any number from 0.
          headers: further HTTP headers, for example `{"Authorization": f"Bearer {token}"}`.
          auth: authentication as httpx takes it: (user, password) or an `httpx.Auth`. Default: those in the URL.
          verify: as httpx takes it: the `ssl.SSLContext` of https connections; False accepts any certificate.
          transport: as httpx takes it: sends the requests, instead of connections that follow `verify` and the
            environment's proxies.

        Raises:
          ValueError: the address or another value is invalid.
          OSError: the certificates that `verify` names cannot be read.
        """
        self.protocol = protocol(url, model, version, label, retries)
        parsed = httpx.URL(url)
        if auth is None and parsed.userinfo:
            auth = (parsed.username, parsed.password)
        how: dict[str, Any] = {"auth": auth, "verify": verify, "transport": transport}
        self._http: Http = self._http_class(**options(self.protocol, timeout, headers), **how)


def protocol(url: str, model: str, version: int | None, label: str | None, retries: int) -> Protocol:
    """Validate the address of a model; raise `ValueError` with the bad value.

    The result, and with it every message, is without the URL's user name and password.
    """
    shown = re.sub(r"(?<=//)[^/?#]*@", "", url, count=1) if isinstance(url, str) else url
    try:
        parsed = httpx.URL(url)
        host = parsed.host
    except (httpx.InvalidURL, TypeError, ValueError) as error:  # the last: not an internationalized domain name
        raise ValueError(f"The server's address is not a URL: {error}. Received: url={shown!r}") from None
    url = shown
    if "%" in host:  # httpx escapes what a name cannot contain, for example a lone bracket
        raise ValueError(f"The server's address has no valid host name. Received: url={url!r}")
    if parsed.scheme not in ("http", "https") or not host:
        raise ValueError(f"The server's address must begin with http:// or https://. Received: url={url!r}")
    if parsed.query or parsed.fragment:
        raise ValueError(f"The server's address must not have a query or a fragment. Received: url={url!r}")
    if parsed.port is not None and not 0 < parsed.port < 2**16:
        raise ValueError(f"A port is a number from 1 to 65535. Received: url={url!r}")
    if model in _NO_NAMES:
        raise ValueError(f"The model's name must not be empty, `.` or `..`. Received: model={model!r}")
    if version is not None and label is not None:
        raise ValueError(f"Give a version or a label, not both. Received: version={version}, label={label!r}")
    if version is not None and not 0 <= as_integer("version", version) < 2**63:
        raise ValueError(f"A version is a number from 0. Received: version={version}")
    if label in _NO_NAMES:
        raise ValueError(f"The label must not be empty, `.` or `..`. Received: label={label!r}")
    if as_integer("retries", retries) < 0:
        raise ValueError(f"retries must be 0 or more. Received: retries={retries}")
    return Protocol(url.rstrip("/"), model, version, label, retries)


def options(protocol: Protocol, timeout: float, headers: Mapping[str, str] | None) -> dict[str, Any]:
    """Arguments of `httpx.Client` and `httpx.AsyncClient`; raises `ValueError` for a bad timeout or header."""
    if not 0 < as_number("timeout", timeout) <= _LONGEST_TIMEOUT:
        raise ValueError(
            f"timeout must be above 0 and at most {_LONGEST_TIMEOUT:.0f} seconds. Received: timeout={timeout}"
        )
    for name, value in (headers or {}).items():
        # Not the value, which may be a secret. httpx would take such a header for a failure of the connection.
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise ValueError(
                f"The value of the header {name} must be ASCII characters of one line, without spaces at its ends. "
                f"Received: {len(value)} characters"
            )
    return {
        "timeout": httpx.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS)),
        "headers": {"Content-Type": "application/json", "Accept": "application/json", **(headers or {})},
        # A proxy that the environment names cannot reach this machine's own ports.
        "trust_env": not is_loopback(httpx.URL(protocol.base).host),
    }


def response(received: httpx.Response) -> Response:
    """Convert a response."""
    after = received.headers.get("Retry-After", "")
    return Response(
        received.status_code, received.content, received.reason_phrase, float(after) if after.isdecimal() else None
    )


def failure(error: httpx.HTTPError) -> Failure:
    """Classify why there is no response."""
    reason = str(error) or type(error).__name__
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return Failure("timeout", reason)
    if isinstance(error, httpx.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in reason:
        return Failure("certificate", reason)
    return Failure("connection" if isinstance(error, httpx.TransportError) else "undecodable", reason)
