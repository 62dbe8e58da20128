"""Meaning of responses: the parsed JSON, or the error that a response or its absence is."""

import html
import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from .errors import BadAnswer, ModelUnavailable, NotReachable, ServerError, TimedOut, plain_message
from .values import Alternative

RETRY_STATUS = (429, 502, 503)  # overloaded, loading or restarting; not 504, which would take as long again
_MESSAGE_CHARS = 500  # of a server's message


@dataclass(frozen=True)
class Response:
    """An HTTP response; `retry_after` is in seconds."""

    status: int
    body: bytes
    reason: str = ""
    retry_after: float | None = None


@dataclass(frozen=True)
class Failure:
    """A request without a response."""

    kind: Literal["connection", "certificate", "timeout", "undecodable"]
    reason: str


def read(outcome: Response | Failure, url: str, attempts: int) -> dict[str, Any]:
    """Return the response's JSON object.

    Args:
      outcome: of the last attempt.
      url: of the request, for messages.
      attempts: how often the request was sent.

    Raises:
      ClientError: the kind that `Client` documents.

    Example:
      >>> read(Response(200, b'{"predictions": ["text"]}'), "http://127.0.0.1:8501", attempts=1)
      {'predictions': ['text']}
    """
    if isinstance(outcome, Failure):
        reason = _sentence(outcome.reason)
        if outcome.kind == "connection":
            times = "once" if attempts == 1 else f"{attempts} times"
            raise NotReachable(f"No server responds: {reason} Tried {times}. Received: {url}")
        if outcome.kind == "certificate":
            advice = "Trust its authority with verify=, which takes an ssl.SSLContext."
            raise NotReachable(f"The server's certificate is not trusted: {reason} {advice} Received: {url}")
        if outcome.kind == "timeout":
            raise TimedOut(f"The server did not respond in time: {reason} Received: {url}")
        raise BadAnswer(f"The response cannot be decoded: {reason} Received from: {url}")
    try:
        parsed = json.loads(outcome.body)  # Python reads TF Serving's bare NaN and Infinity
    except (ValueError, RecursionError):
        parsed = None
    if not 200 <= outcome.status < 300:
        raise _server_error(outcome, parsed, url)
    if not isinstance(parsed, dict):
        raise BadAnswer(f"The response is not a JSON object: {_plain_text(outcome)} Received from: {url}")
    return parsed


def _server_error(response: Response, parsed: Any, url: str) -> ServerError:
    """The error of a response other than success, with the server's message if there is one."""
    has_message = isinstance(parsed, dict) and isinstance(parsed.get("error"), str)
    message = _sentence(plain_message(parsed["error"])) if has_message else _plain_text(response)
    missing = has_message and (response.status == 404 or "Unrecognized servable version label" in message)
    kind = ModelUnavailable if missing or response.status in RETRY_STATUS else ServerError
    return kind(response.status, message, url)


def _plain_text(response: Response) -> str:
    """Text of a response that is not JSON: a proxy's page without its markup, or the name of the status."""
    text = response.body.decode("utf-8", "replace")
    if "<" in text:
        text = re.sub(r"(?is)<(script|style|head)\b.*?</\1\s*>|<[^>]*>", " ", text)
        text = html.unescape(text)
    return _sentence(" ".join(text.split()) or response.reason or "(no message)")


def _sentence(message: str) -> str:
    message = message.strip()
    message = message if len(message) <= _MESSAGE_CHARS else f"{message[:_MESSAGE_CHARS]} ..."
    return message if message.endswith((".", "!", "?", "...")) else f"{message}."


def expect_text(value: Any) -> str:
    """Return the value; raise `BadAnswer` if it is not text."""
    if not isinstance(value, str):
        raise unexpected("text", value)
    return value


def field(value: Any, name: str) -> Any:
    """Return this field of an object; raise `BadAnswer` if there is none."""
    if not isinstance(value, dict) or name not in value:
        raise unexpected(name, value)
    return value[name]


def numbers(values: Any) -> tuple[float, ...]:
    """Return the list as floats; raise `BadAnswer` if it is not a list of numbers."""
    if not isinstance(values, list) or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in values):
        raise unexpected("numbers", values)
    return tuple(map(float, values))


def alternatives(value: Any) -> list[list[Alternative]]:
    """Return a row of the signature `alternatives` without what pads it: one list for each character of its text."""
    count, characters, probabilities = (field(value, name) for name in ("num_chars", "characters", "probabilities"))
    try:
        places = list(zip(characters[:count], probabilities[:count], strict=True))
        return [
            [Alternative(expect_text(one), p) for one, p in zip(each, numbers(chances), strict=True) if one]
            for each, chances in places
        ]
    except (TypeError, ValueError):
        raise unexpected("num_chars and lists of characters and probabilities", value) from None


def unexpected(wanted: str, value: Any) -> BadAnswer:
    """The error of a response that has another value than the wanted one."""
    shown = json.dumps(value)
    shown = shown if len(shown) <= 200 else f"{shown[:200]} ..."
    return BadAnswer(f"The response is not one of this project's models: {wanted} was expected. Received: {shown}")
