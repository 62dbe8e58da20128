"""What a model server says about a model's versions, over its REST status route."""

from dataclasses import dataclass

import httpx

AVAILABLE, END = "AVAILABLE", "END"
_SECONDS = 5.0  # for one answer


@dataclass(frozen=True)
class VersionState:
    """One version's state, in TF Serving's words; `error` is empty unless it could not be loaded."""

    state: str
    error: str = ""


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
    """
    try:
        # A proxy of the environment cannot reach this machine's ports.
        answer = httpx.get(f"{url}/v1/models/{model}", timeout=_SECONDS, trust_env=False)
        listed = answer.json().get("model_version_status", []) if answer.status_code == httpx.codes.OK else []
        return {
            int(one["version"]): VersionState(one["state"], one.get("status", {}).get("error_message", ""))
            for one in listed
        }
    except (httpx.HTTPError, httpx.InvalidURL):
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}  # something answers there, but no model server
