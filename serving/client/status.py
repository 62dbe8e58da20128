"""What a model server says about a model's versions, over its REST status route."""

from dataclasses import dataclass

from components.lean_imports import absent

AVAILABLE, END = "AVAILABLE", "END"
COMING = ("START", "LOADING")
_SECONDS = 5.0  # for one answer


class Unclear(Exception):
    """Something answers there, but does not say what it serves; the message says what it does instead."""


@dataclass(frozen=True)
class VersionState:
    """One version's state, in TF Serving's words; `error` is empty unless it could not be loaded."""

    state: str
    error: str = ""

    @property
    def failed(self) -> bool:
        """Whether it could not be loaded; a server that tries again may still say why it failed before."""
        return self.state == END and bool(self.error)


def url_of(host: str, port: int) -> str:
    """Base address by which this machine reaches a server that listens on `host`."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
    return f"http://{everywhere.get(host, f'[{host}]' if ':' in host else host)}:{port}"


def states(url: str, model: str) -> dict[int, VersionState] | None:
    """The state of each version that the server knows of.

    Args:
      url: base address, e.g. `http://127.0.0.1:8501`.
      model: name in requests.

    Returns:
      States by version number; empty if the server does not know the model, None if no server answers there.

    Raises:
      Unclear: a server is there, but is too busy to say, fails, or is no model server.
    """
    # Late: most of what a command imports, and one that is refused makes no request.
    with absent("click"):  # httpx' own command line, with all of Rich and Pygments
        import httpx

    try:
        # A proxy of the environment cannot reach this machine's ports.
        answer = httpx.get(f"{url}/v1/models/{model}", timeout=_SECONDS, trust_env=False)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL):
        return None
    except httpx.HTTPError as error:
        raise Unclear(f"it does not answer: {str(error) or type(error).__name__}") from None
    if answer.status_code == httpx.codes.NOT_FOUND:
        return {}
    if answer.status_code != httpx.codes.OK:
        raise Unclear(f"it answers with HTTP status {answer.status_code}")
    try:
        found = {
            int(one["version"]): VersionState(one["state"], one.get("status", {}).get("error_message", ""))
            for one in answer.json()["model_version_status"]
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        found = {}
    if not found:
        raise Unclear("what it answers is not the status of a model")
    return found
