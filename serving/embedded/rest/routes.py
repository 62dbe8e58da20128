"""Routes of the REST API, parsed from method and raw path with TF Serving's two regular expressions.

An expression must match the complete path with its query string, so `...:predict?x=1` is malformed.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from components.models import versions
from serving.embedded.statuses import invalid

_WHICH = r"(?:(?:/versions/([0-9]+))|(?:/labels/([^/:]+)))?"
_POST = re.compile(rf"/v1/models/([^/:]+){_WHICH}:(classify|regress|predict)", re.IGNORECASE | re.DOTALL)
_GET = re.compile(rf"/v1/models(?:/([^/:]+))?{_WHICH}(?:/(metadata))?", re.IGNORECASE | re.DOTALL)
_API = re.compile(r"/v1/.*", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Route:
    """A well-formed request.

    Attributes:
      action: "predict", "classify", "regress", "metadata" or "status".
      model: name of the model.
      version: number of the requested version, if the path has one.
      label: label of the requested version, if the path has one.

    Example:
      >>> route("POST", "/v1/models/char_rnn/labels/stable:predict")
      Route(action='predict', model='char_rnn', version=None, label='stable')
    """

    action: str
    model: str
    version: int | None = None
    label: str | None = None


def is_api(path: str) -> bool:
    """Return whether the path belongs to the API; other paths get the HTTP library's 404 page."""
    return bool(_API.fullmatch(path))


def route(method: str, path: str) -> Route:
    """Parse method and path.

    Raises:
      RequestError: the request is malformed.
    """
    found = _POST.fullmatch(path) if method == "POST" else _GET.fullmatch(path) if method == "GET" else None
    malformed = invalid(f"Malformed request: {method} {path}")
    if not found:
        raise malformed
    name, number, label, action = found.groups()
    if method == "POST" and action not in ("classify", "regress", "predict"):
        raise malformed  # the expression ignores case, TF Serving's comparison of the verb does not
    if name is None:
        raise invalid("Missing model name in request.")
    version = None
    if number is not None:
        version = int(number) if len(number) < 25 else versions.LARGEST + 1
        if version > versions.LARGEST:
            raise invalid(f"Failed to convert version: {number} to numeric.")
    if method == "GET":
        action = "metadata" if action == "metadata" else "status"  # nor its comparison here
    return Route(action, unquote(name), version, None if label is None else unquote(label))
