"""TF Serving's REST protocol without input and output: what to send, when to send it again, what the answer means.

Each operation is a generator. It yields a `Call` or a `Pause`, is sent an `Answer` or `Lost` for the former, and
returns its result, so that the blocking and the asynchronous client differ in nothing but how they wait.
"""

import html
import itertools
import json
import random
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar
from urllib.parse import quote

from serving.client.errors import BadAnswer, ClientError, ModelUnavailable, NotReachable, ServerError, TimedOut
from serving.client.values import Continuation, Controls, Generated, Metadata, Score, VersionStatus

_AGAIN = (429, 502, 503)  # overloaded, loading or restarting; not 504, which would take as long again
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0  # seconds
_SHOWN = 500  # characters of a server's message


@dataclass(frozen=True)
class Call:
    """A request to be sent; all of them may be repeated, for they change nothing and carry their seeds."""

    method: Literal["GET", "POST"]
    url: str
    body: bytes | None = None


@dataclass(frozen=True)
class Pause:
    """Time to wait, seconds."""

    seconds: float


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    reason: str = ""
    retry_after: float | None = None  # seconds


@dataclass(frozen=True)
class Lost:
    """No answer came."""

    how: Literal["connection", "timeout", "undecodable"]
    reason: str


Result = TypeVar("Result")
Steps: TypeAlias = Generator[Call | Pause, Answer | Lost | None, Result]


@dataclass(frozen=True)
class Protocol:
    """Operations on one model of one server.

    Attributes:
      base: the server's URL, without a slash at its end.
      retries: how often a request is sent again after 429, 502, 503 or a lost connection.
    """

    base: str
    model: str
    version: int | None = None
    label: str | None = None
    retries: int = 5

    def place(self, version: int | None = None) -> str:
        """URL of the model, of the given version or of the one that was asked for."""
        place = f"{self.base}/v1/models/{quote(self.model, safe='')}"
        version = self.version if version is None else version
        if version is not None:
            return f"{place}/versions/{version}"
        return place if self.label is None else f"{place}/labels/{quote(self.label, safe='')}"

    def generate(self, prompts: Sequence[str], controls: Controls) -> Steps[list[Generated]]:
        """The new text of each row."""
        rows = [controls.row(i, prompt) for i, prompt in enumerate(prompts)]
        predictions = yield from self._predict("generate", rows)
        return [Generated(_text(value), seed) for value, seed in zip(predictions, controls.seeds)]

    def generate_from_state(
        self,
        prompts: Sequence[str],
        states: Sequence[Sequence[float]] | None,
        controls: Controls,
        version: int | None = None,
    ) -> Steps[list[Continuation]]:
        """New text and state of each row; a fresh start, for which the server says how large a state is, for None."""
        if states is None:
            described = yield from self.metadata(version)
            states = [fresh_state(described)] * len(prompts)
        if len(states) != len(prompts):
            raise ValueError(f"There must be one state for each of the {len(prompts)} prompts. Received: {len(states)}")
        rows = [{**controls.row(i, prompt), "state": list(states[i])} for i, prompt in enumerate(prompts)]
        predictions = yield from self._predict("generate_from_state", rows, version)
        return [
            Continuation(Generated(_text(_field(value, "text")), seed), _numbers(_field(value, "state")))
            for value, seed in zip(predictions, controls.seeds)
        ]

    def score(self, texts: Sequence[str]) -> Steps[list[Score]]:
        """The score of each row."""
        predictions = yield from self._predict("score", [{"text": text} for text in texts])
        scores = []
        for value in predictions:
            count, total = _field(value, "num_chars"), _field(value, "nll_sum")
            (total,) = _numbers([total])
            if not isinstance(count, int):
                raise _unexpected("a whole num_chars", count)
            # A row is padded with zeros to the longest.
            scores.append(Score(_numbers(_field(value, "nll"))[:count], total, count))
        return scores

    def status(self) -> Steps[list[VersionStatus]]:
        """The versions that the server knows, newest first."""
        answer = yield from self._exchange(Call("GET", self.place()))
        try:
            return [
                VersionStatus(
                    int(entry["version"]),
                    str(entry["state"]),
                    str(entry.get("status", {}).get("error_code", "OK")),
                    str(entry.get("status", {}).get("error_message", "")),
                )
                for entry in answer["model_version_status"]
            ]
        except (LookupError, TypeError, ValueError, AttributeError):
            raise _unexpected("model_version_status", answer) from None

    def metadata(self, version: int | None = None) -> Steps[Metadata]:
        """What answers, and with which signatures."""
        answer = yield from self._exchange(Call("GET", f"{self.place(version)}/metadata"))
        try:
            return Metadata(
                int(answer["model_spec"]["version"]), dict(answer["metadata"]["signature_def"]["signature_def"])
            )
        except (LookupError, TypeError, ValueError):
            raise _unexpected("model_spec and signature_def", answer) from None

    def _predict(self, signature: str, rows: Sequence[Any], version: int | None = None) -> Steps[list[Any]]:
        if not rows:
            return []  # TF Serving refuses a request without rows
        body = json.dumps({"signature_name": signature, "instances": rows}, allow_nan=False).encode()
        answer = yield from self._exchange(Call("POST", f"{self.place(version)}:predict", body))
        predictions = answer.get("predictions")
        if not isinstance(predictions, list) or len(predictions) != len(rows):
            raise _unexpected(f"{len(rows)} predictions", answer)
        return predictions

    def _exchange(self, call: Call) -> Steps[dict[str, Any]]:
        """Send a request until it is answered; returns the answer's JSON object."""
        for attempt in itertools.count():
            answer = yield call
            assert isinstance(answer, (Answer, Lost)), answer
            if attempt == self.retries or not _worth_repeating(answer):
                return _read(answer, call.url, attempt + 1)
            asked = answer.retry_after or 0.0 if isinstance(answer, Answer) else 0.0
            # Half of the pause is left to chance, lest all clients of a restarted server come back at the same time.
            backoff = _FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.0)
            yield Pause(min(_LONGEST_PAUSE, max(asked, backoff)))
        raise AssertionError("unreachable")


def fresh_state(metadata: Metadata) -> list[float]:
    """The state before anything was read; raises `BadAnswer` if the model does not work with states."""
    try:
        return [0.0] * metadata.state_size
    except ValueError as error:
        raise BadAnswer(str(error)) from None


def _worth_repeating(answer: Answer | Lost) -> bool:
    return answer.status in _AGAIN if isinstance(answer, Answer) else answer.how == "connection"


def _read(answer: Answer | Lost, url: str, attempts: int) -> dict[str, Any]:
    if isinstance(answer, Lost):
        times = "once" if attempts == 1 else f"{attempts} times"
        raise {
            "connection": NotReachable(f"No server answers: {_ended(answer.reason)} Tried {times}. Received: {url}"),
            "timeout": TimedOut(f"The server did not answer in time: {_ended(answer.reason)} Received: {url}"),
            "undecodable": BadAnswer(f"The answer cannot be decoded: {_ended(answer.reason)} Received from: {url}"),
        }[answer.how]
    try:
        parsed = json.loads(answer.body)  # Python reads TF Serving's bare NaN and Infinity
    except (ValueError, RecursionError):
        parsed = None
    if not 200 <= answer.status < 300:
        raise _refusal(answer, parsed, url)
    if not isinstance(parsed, dict):
        raise BadAnswer(f"The answer is not a JSON object: {_words(answer)} Received from: {url}")
    return parsed


def _refusal(answer: Answer, parsed: Any, url: str) -> ClientError:
    """The error of an answer other than success, in the server's words where it has any."""
    of_server = isinstance(parsed, dict) and isinstance(parsed.get("error"), str)
    message = _ended(parsed["error"]) if of_server else _words(answer)
    missing = of_server and (answer.status == 404 or "Unrecognized servable version label" in message)
    kind = ModelUnavailable if missing or answer.status in _AGAIN else ServerError
    return kind(answer.status, message, url)


def _words(answer: Answer) -> str:
    """What an answer that is not JSON says: a proxy's page without its markup, or the status' name."""
    text = answer.body.decode("utf-8", "replace")
    if "<" in text:
        text = re.sub(r"(?is)<(script|style|head)\b.*?</\1\s*>|<[^>]*>", " ", text)
        text = html.unescape(text)
    return _ended(" ".join(text.split()) or answer.reason or "(no message)")


def _ended(message: str) -> str:
    message = message.strip()
    message = message if len(message) <= _SHOWN else f"{message[:_SHOWN]} ..."
    return message if message.endswith((".", "!", "?", "...")) else f"{message}."


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _unexpected("text", value)
    return value


def _field(value: Any, name: str) -> Any:
    if not isinstance(value, dict) or name not in value:
        raise _unexpected(name, value)
    return value[name]


def _numbers(values: Any) -> tuple[float, ...]:
    if not isinstance(values, list) or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in values):
        raise _unexpected("numbers", values)
    return tuple(map(float, values))


def _unexpected(wanted: str, value: Any) -> BadAnswer:
    shown = json.dumps(value)
    shown = shown if len(shown) <= 200 else f"{shown[:200]} ..."
    return BadAnswer(f"The answer is not what this project's models give: {wanted} was expected. Received: {shown}")
