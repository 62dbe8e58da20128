"""TF Serving's REST protocol without I/O: requests, retries and the meaning of responses.

Each operation is a generator that yields a `Request` or a `Pause` and returns its result. The client performs what is
yielded and sends back a `Response` or a `Failure`. So the blocking and the asynchronous client differ only in how they
wait.
"""

import base64
import ipaddress
import itertools
import json
import random
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, TypeVar
from urllib.parse import quote

from . import status, unknown
from .errors import BadAnswer, ServerError, Unsupported
from .options import GenerateOptions, unsupported
from .responses import RETRY_STATUS, Failure, Response, alternatives, expect_text, field, numbers, read, unexpected
from .status import VersionStatus
from .stop import StopString
from .values import Alternative, Continuation, Generated, Metadata, Score, as_texts, as_top_n

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0  # seconds


@dataclass(frozen=True)
class Request:
    """A request to send. Safe to retry: requests are idempotent and carry their seeds."""

    method: Literal["GET", "POST"]
    url: str
    body: bytes | None = None


@dataclass(frozen=True)
class Pause:
    """A time to wait, in seconds."""

    seconds: float


Result = TypeVar("Result")
Steps: TypeAlias = Generator[Request | Pause, Response | Failure | None, Result]


@dataclass(frozen=True)
class Protocol:
    """Operations on one model of one server. Example: `test_status_is_parsed` in tests/serving/client/test_protocol.py.

    Attributes:
      base: the server's URL, without a slash at its end.
      retries: how often a request is repeated after 429, 502, 503 or a lost connection.
    """

    base: str
    model: str
    version: int | None = None
    label: str | None = None
    retries: int = 5

    def model_url(self, version: int | None = None) -> str:
        """URL of the model: of this version, or of the client's version or label."""
        url = f"{self.base}/v1/models/{quote(self.model, safe='')}"
        version = self.version if version is None else version
        if version is not None:
            return f"{url}/versions/{version}"
        return url if self.label is None else f"{url}/labels/{quote(self.label, safe='')}"

    def generate(self, prompts: str | Sequence[str], options: GenerateOptions) -> Steps[Generated | list[Generated]]:
        """Generate text after one prompt, or a list of texts after several."""
        asked = as_texts(prompts, "prompt")
        seeds = options.seeds(len(asked))
        try:
            predictions = yield from self._predict(options.signature, options.rows(asked), wanted=options.controls)
        except Unsupported:
            plain = replace(options, stop="")
            if plain.controls:
                raise
            # An older export generates the complete text, of which the beginning is the same.
            predictions = yield from self._predict(plain.signature, plain.rows(asked))
        texts = []
        for value, seed in zip(predictions, seeds):
            stop = StopString(options.stop)
            found = value if isinstance(value, dict) else {"text": value}
            text = stop.read(expect_text(field(found, "text")), last=True, stopped=found.get("stopped") is True)
            texts.append(Generated(text, seed, stop.found))
        return texts[0] if isinstance(prompts, str) else texts

    def generate_from_state(
        self,
        prompts: Sequence[str],
        states: Sequence[Sequence[float]] | None,
        options: GenerateOptions,
        version: int | None = None,
    ) -> Steps[list[Continuation]]:
        """Generate text and state for each prompt. States None: start from the initial state, after asking its size."""
        rows = options.rows(as_texts(prompts, "prompt"))
        signature = options.state_signature
        if states is None:
            metadata = yield from self.metadata(version)
            self._check(metadata, signature, options.controls)
            states = [initial_state(metadata, signature)] * len(rows)
        if len(states) != len(rows):
            raise ValueError(f"There must be one state for each of the {len(rows)} prompts. Received: {len(states)}")
        instances = [{**row, "state": list(state)} for row, state in zip(rows, states)]
        predictions = yield from self._predict(signature, instances, version, options.controls)
        return [
            Continuation(
                Generated(expect_text(field(value, "text")), row["seed"], value.get("stopped") is True),
                numbers(field(value, "state")),
            )
            for value, row in zip(predictions, rows)
        ]

    def alternatives(
        self, texts: str | Sequence[str], top_n: int
    ) -> Steps[list[list[Alternative]] | list[list[list[Alternative]]]]:
        """List the most likely characters at each place of one text or of several."""
        top_n = as_top_n(top_n)
        rows = [{"text": text, "top_n": top_n} for text in as_texts(texts, "text")]
        predictions = yield from self._predict("alternatives", rows, wanted={"alternatives": top_n})
        found = [alternatives(value) for value in predictions]
        return found[0] if isinstance(texts, str) else found

    def score(self, texts: str | Sequence[str]) -> Steps[Score | list[Score]]:
        """Score one text, or make a list of the scores of several."""
        predictions = yield from self._predict("score", [{"text": text} for text in as_texts(texts, "text")])
        scores = []
        for value in predictions:
            count, total = field(value, "num_chars"), field(value, "nll_sum")
            (total,) = numbers([total])
            if not isinstance(count, int):
                raise unexpected("an integer num_chars", count)
            # Rows are padded with zeros to the longest.
            scores.append(Score(numbers(field(value, "nll"))[:count], total, count))
        return scores[0] if isinstance(texts, str) else scores

    def unknown(self, texts: str | Sequence[str]) -> Steps[list[str]]:
        """List the characters of one text or of several that the model does not know."""
        found = []
        for batch in unknown.batches(as_texts(texts, "text")):
            rows = [{"examples": {"b64": base64.b64encode(unknown.example(one)).decode()}} for one in batch]
            predictions = yield from self._predict("eval_nll", rows)
            counts = numbers([field(value, "num_unknown") for value in predictions])
            found += [one for one, count in zip(batch, counts) if count]
        return found

    def status(self) -> Steps[list[VersionStatus]]:
        """List the versions that the server knows, newest first."""
        response = yield from self._send(Request("GET", self.model_url()))
        try:
            return status.parse(response)
        except ValueError:
            raise unexpected("model_version_status", response) from None

    def metadata(self, version: int | None = None) -> Steps[Metadata]:
        """Ask which version responds, and for its signatures."""
        response = yield from self._send(Request("GET", f"{self.model_url(version)}/metadata"))
        try:
            return Metadata(
                int(response["model_spec"]["version"]), dict(response["metadata"]["signature_def"]["signature_def"])
            )
        except (LookupError, TypeError, ValueError, OverflowError):
            raise unexpected("model_spec and signature_def", response) from None

    def _predict(
        self,
        signature: str,
        rows: Sequence[Any],
        version: int | None = None,
        wanted: Mapping[str, Any] | None = None,
    ) -> Steps[list[Any]]:
        """Run a signature; `wanted` is why it is this one, if older exports do not have it.

        Which version answers is not known beforehand and may change, so the metadata is read after a rejection only.
        """
        if not rows:
            return []  # TF Serving rejects a request without rows
        body = json.dumps({"signature_name": signature, "instances": rows}, allow_nan=False).encode()
        try:
            response = yield from self._send(Request("POST", f"{self.model_url(version)}:predict", body))
        except ServerError as error:
            if wanted and error.status == 400:
                self._check((yield from self.metadata(version)), signature, wanted)
            raise
        predictions = response.get("predictions")
        if not isinstance(predictions, list) or len(predictions) != len(rows):
            raise unexpected(f"{len(rows)} predictions", response)
        return predictions

    def _check(self, metadata: Metadata, signature: str, wanted: Mapping[str, Any]) -> None:
        """Raise `Unsupported` if the export that answers does not have a signature that newer ones have."""
        if wanted and signature not in metadata.signatures:
            raise unsupported(self.described(metadata.version), wanted)

    def described(self, version: int) -> str:
        """Name a version at the beginning of a message."""
        return f"Version {version} of {self.model}"

    def _send(self, request: Request) -> Steps[dict[str, Any]]:
        """Send a request, with retries; returns the response's JSON object."""
        for attempt in itertools.count():
            outcome = yield request
            assert isinstance(outcome, (Response, Failure)), outcome
            if attempt == self.retries or not _should_retry(outcome):
                return read(outcome, request.url, attempt + 1)
            retry_after = outcome.retry_after or 0.0 if isinstance(outcome, Response) else 0.0
            # Exponential back-off with jitter, to avoid a thundering herd. The power of a late attempt would overflow.
            backoff = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempt, 10)) * random.uniform(0.5, 1.0)
            yield Pause(max(min(retry_after, _LONGEST_PAUSE), backoff))
        raise AssertionError("unreachable")


def initial_state(metadata: Metadata, signature: str) -> list[float]:
    """The state of this signature before any text; raises `BadAnswer` if the model has none."""
    try:
        return [0.0] * metadata.state_size_of(signature)
    except ValueError as error:
        raise BadAnswer(str(error)) from None


def _should_retry(outcome: Response | Failure) -> bool:
    return outcome.status in RETRY_STATUS if isinstance(outcome, Response) else outcome.kind == "connection"


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
