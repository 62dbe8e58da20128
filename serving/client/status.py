"""Status of a model's versions: the one parser of TF Serving's `GET /v1/models/MODEL`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    import ssl

from .errors import plain_message

AVAILABLE, END = "AVAILABLE", "END"
LOADING = ("START", "LOADING")
NOT_LOADED = "not loaded"
_TIMEOUT = 5.0  # seconds


class StatusUnavailable(Exception):
    """Something responds at the address, but reports no status; the message states what it does instead."""


class StatusDenied(StatusUnavailable):
    """The server requires another API key, or there is none."""


class HttpOptions(TypedDict, total=False):
    """Options of httpx for a server that requires an API key or has its own certificate."""

    headers: dict[str, str]
    verify: "ssl.SSLContext"


@dataclass(frozen=True)
class VersionStatus:
    """Status of one version.

    Attributes:
      state: START, LOADING, AVAILABLE, UNLOADING or END, as TF Serving reports it; or `NOT_LOADED`.
      error_message: why it could not be loaded, else empty.

    Example:
      >>> parse({"model_version_status": [{"version": "3", "state": "AVAILABLE"}]})
      [VersionStatus(version=3, state='AVAILABLE', error_code='OK', error_message='')]
    """

    version: int
    state: str = NOT_LOADED
    error_code: str = "OK"
    error_message: str = ""

    @property
    def failed(self) -> bool:
        """Whether it could not be loaded. A server that retries may still report the previous error."""
        return self.state == END and bool(self.error_message)


def parse(response: Any) -> list[VersionStatus]:
    """Read the JSON of a status response, in its order.

    Raises:
      ValueError: it is not the status of a model.
    """
    try:
        return [
            VersionStatus(
                int(entry["version"]),
                str(entry["state"]),
                str(entry.get("status", {}).get("error_code", "OK")),
                plain_message(str(entry.get("status", {}).get("error_message", ""))),
            )
            for entry in response["model_version_status"]
        ]
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError):
        raise ValueError("not the status of a model") from None


def base_url(host: str, port: int, *, tls: bool = False) -> str:
    """URL by which this machine reaches a server that listens on `host`."""
    wildcards = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
    return f"{'https' if tls else 'http'}://{wildcards.get(host, f'[{host}]' if ':' in host else host)}:{port}"


def fetch(url: str, model: str, http: HttpOptions | None = None) -> dict[int, VersionStatus] | None:
    """Ask a server once for the status of each version that it knows.

    Args:
      url: base URL, for example `http://127.0.0.1:8501`.
      model: name in requests.
      http: API key and certificate, if the server needs them.

    Returns:
      Status by version number; empty if the server does not know the model, None if no server responds.

    Raises:
      StatusUnavailable: a server is there, but it is too busy, fails, or is not a model server.
      StatusDenied: the server requires an API key.
    """
    import httpx  # late: a command that fails early sends no request

    try:
        # A proxy of the environment cannot reach this machine's ports.
        response = httpx.get(f"{url}/v1/models/{model}", timeout=_TIMEOUT, trust_env=False, **(http or {}))
    except httpx.ConnectError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise StatusUnavailable(f"its certificate is not the expected one: {error}") from None
        return None
    except (httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL):
        return None
    except httpx.HTTPError as error:
        raise StatusUnavailable(f"it does not respond: {str(error) or type(error).__name__}") from None
    if response.status_code == httpx.codes.NOT_FOUND:
        return {}
    if response.status_code == httpx.codes.UNAUTHORIZED:
        raise StatusDenied("it requires an API key, or another one")
    if response.status_code != httpx.codes.OK:
        raise StatusUnavailable(f"it responds with HTTP status {response.status_code}")
    try:
        found = {status.version: status for status in parse(response.json())}
    except ValueError:
        found = {}
    if not found:
        raise StatusUnavailable("its response is not the status of a model")
    return found


def of(versions: Mapping[int, VersionStatus] | None, version: int) -> VersionStatus:
    """Status of one version; `NOT_LOADED` if the server does not list it."""
    return (versions or {}).get(version) or VersionStatus(version)
