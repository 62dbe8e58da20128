"""What a request asks for, by method and raw path, with TF Serving's two regular expressions.

The path that they see has its query string, and must match whole: hence `...:predict?x=1` is malformed.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from components.models import version_number
from serving.embedded.statuses import invalid

_PLACE = r"(?:(?:/versions/([0-9]+))|(?:/labels/([^/:]+)))?"
_POST = re.compile(rf"/v1/models/([^/:]+){_PLACE}:(classify|regress|predict)", re.IGNORECASE | re.DOTALL)
_GET = re.compile(rf"/v1/models(?:/([^/:]+))?{_PLACE}(?:/(metadata))?", re.IGNORECASE | re.DOTALL)
_OURS = re.compile(r"/v1/.*", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Route:
    """A well-formed request.

    Attributes:
      action: "predict", "classify", "regress", "metadata" or "status".
      model: its name.
      version: asked for by number.
      label: asked for by label.
    """

    action: str
    model: str
    version: int | None = None
    label: str | None = None


def is_api(path: str) -> bool:
    """Whether the API answers at all; other paths get the HTTP library's own page."""
    return bool(_OURS.fullmatch(path))


def route(method: str, path: str) -> Route:
    """Read method and path.

    Raises:
      Refusal: malformed.
    """
    found = _POST.fullmatch(path) if method == "POST" else _GET.fullmatch(path) if method == "GET" else None
    malformed = invalid(f"Malformed request: {method} {path}")
    if not found:
        raise malformed
    name, number, label, action = found.groups()
    if method == "POST" and action not in ("classify", "regress", "predict"):
        raise malformed  # the expression takes :PREDICT, the comparison does not
    if name is None:
        raise invalid("Missing model name in request.")
    version = None
    if number is not None:
        version = int(number) if len(number) < 25 else version_number.LARGEST + 1
        if version > version_number.LARGEST:
            raise invalid(f"Failed to convert version: {number} to numeric.")
    if method == "GET":
        action = "metadata" if action == "metadata" else "status"  # the comparison takes no /METADATA either
    return Route(action, unquote(name), version, None if label is None else unquote(label))
