"""Requests of a mixed load to a server, each with what the contract promises as its response."""

import json
import math
import random
import socket
from collections.abc import Callable
from typing import Any

import httpx

from scripts.traffic import MODEL, signatures, wire
from serving.client import Client

STREAM, STATUS, METADATA, METRICS = "stream (client)", "status", "metadata", "metrics"
MALFORMED, DISCONNECT = "malformed", "client disconnects"
_BASE = f"/v1/models/{MODEL}"
_PREDICT = f"{_BASE}:predict"
_OMITTED = "eval_nll"  # its input is a tf.train.Example: the Evaluator calls it, not clients
_QUESTIONS = 4  # of each signature: three short ones and a long one
_LONG_TEXT, _LONG_PROMPT, _MANY_CHARS = 10_000, 300, 500
_STREAM_SEEDS = range(4)
_GOOD = {"prompt": "The ", "num_chars": 8, "temperature": 0.9, "top_k": 3, "seed": 7}
_Malformed = tuple[str, str, bytes, dict[str, str], int]
# Sends a request and returns what is wrong with the response. Its arguments are a generator of random numbers, and the
# export of each version that requests may name.
Send = Callable[[random.Random, dict[int, int]], str]


def _generate(**changed: Any) -> bytes:
    return json.dumps({"signature_name": "generate", "instances": [{**_GOOD, **changed}]}).encode()


_MALFORMED: list[_Malformed] = [  # method, path, body, headers, status
    ("POST", _PREDICT, b"", {}, 400),
    ("POST", _PREDICT, b'{"instances": [', {}, 400),
    ("POST", _PREDICT, b"[1, 2]", {}, 400),
    ("POST", _PREDICT, b'{"instances": []}', {}, 400),
    ("POST", _PREDICT, b'{"instances": ["a"], "inputs": ["a"]}', {}, 400),
    ("POST", _PREDICT, b'{"signature_name": "none", "instances": ["a"]}', {}, 400),
    ("POST", _PREDICT, b"\xff\xfe\x00", {}, 400),
    ("POST", _PREDICT, b"not gzip", {"Content-Encoding": "gzip"}, 400),
    ("POST", _PREDICT, _generate(num_chars=-1), {}, 400),
    ("POST", _PREDICT, _generate(num_chars=2**31 - 1), {}, 400),
    ("POST", _PREDICT, _generate(temperature=-1.0), {}, 400),
    ("POST", _PREDICT, _generate(seed="a"), {}, 400),
    ("POST", _PREDICT, _generate(other=1), {}, 400),
    ("POST", f"{_BASE}/versions/999999:predict", _generate(), {}, 404),
    ("POST", f"{_BASE}/labels/none:predict", _generate(), {}, 400),
    ("POST", "/v1/models/none:predict", _generate(), {}, 404),
    ("POST", f"{_BASE}:other", _generate(), {}, 400),
    ("POST", "/elsewhere", _generate(), {}, 404),
    ("PUT", _PREDICT, _generate(), {}, 400),
    ("TRACE", _PREDICT, b"", {}, 501),
    ("GET", _PREDICT, b"", {}, 400),
    ("GET", f"{_BASE}/versions/999999", b"", {}, 404),
    ("GET", f"{_BASE}/%zz", b"", {}, 400),
    ("GET", "/", b"", {}, 404),
]


class Calls:
    """All kinds of requests, for one thread at a time.

    The answers to a fixed set of requests are recorded once for each export. Later answers to them must be those of
    the export of the version that responds; numbers may differ by rounding.
    """

    def __init__(self, url: str, seed: int, known: signatures.Signatures) -> None:
        """Make requests for these signatures; `url` is the server's."""
        draw = random.Random(seed)
        self._url, self._port = url, int(url.rpartition(":")[2])
        self._http = httpx.Client(base_url=url, timeout=120)
        self._client = Client(url, model=MODEL, retries=0, timeout=120)
        self._signatures = set(known)
        self._bodies = [
            (name, _question(draw, name, inputs, number == _QUESTIONS - 1))
            for name, inputs in known.items()
            if name != _OMITTED
            for number in range(_QUESTIONS)
        ]
        self.answers: list[list[Any]] = []  # of each export: to each request, then texts of the streams

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        self._client.close()

    def record(self, version: int) -> None:
        """Record the answers of the next export, which this version serves.

        Raises:
          httpx.HTTPStatusError: it rejects a valid request.
        """
        answers = []
        streams = [_generate(num_chars=_MANY_CHARS, seed=seed) for seed in _STREAM_SEEDS]
        for body in [body for _, body in self._bodies] + streams:
            response = self._http.post(f"{_BASE}/versions/{version}:predict", content=body)
            answers.append(response.raise_for_status().json())
        self.answers.append(answers)

    def kinds(self) -> dict[str, Send]:
        """Return the function that sends one request, for each kind."""
        return {
            **{name: self._predicting(name) for name, _ in self._bodies},
            STREAM: lambda draw, _: self._stream(draw),
            STATUS: lambda *_: self._status(),
            METADATA: self._metadata,
            METRICS: lambda *_: self._metrics(),
            MALFORMED: lambda draw, _: self._malformed(draw),
            DISCONNECT: lambda draw, _: self._disconnect(draw),
        }

    def _predicting(self, name: str) -> Send:
        places = [place for place, (signature, _) in enumerate(self._bodies) if signature == name]

        def predict(draw: random.Random, served: dict[int, int]) -> str:
            place, which, exports = draw.choice(places), "", list(range(len(self.answers)))
            choice = draw.random()
            if choice < 0.3:
                version = draw.choice(list(served))
                which, exports = f"/versions/{version}", [served[version]]
            elif choice < 0.6:
                which = "/labels/stable"
            response = self._http.post(f"{_BASE}{which}:predict", content=self._bodies[place][1])
            if response.status_code != 200:
                return _unexpected(response)
            expected = [self.answers[export][place] for export in exports]
            same = _same_lengths if name == "serving_default" else agrees
            if any(same(response.json(), one) for one in expected):
                return ""
            return f"{name}{which}: the answer is not that of export {exports}: {response.text[:300]}"

        return predict

    def _stream(self, draw: random.Random) -> str:
        seed = draw.choice(_STREAM_SEEDS)
        options = {key: value for key, value in _GOOD.items() if key not in ("prompt", "num_chars", "seed")}
        chunks = self._client.stream("The ", num_chars=_MANY_CHARS, seed=seed, chunk_chars=100, **options)
        text = "".join(chunks)
        expected = [answers[len(self._bodies) + seed]["predictions"][0] for answers in self.answers]
        return "" if text in expected else f"the stream's text is not that of `generate`: {text[:300]!r}"

    def _status(self) -> str:
        states = {one.version: one.state for one in self._client.status()}
        if "AVAILABLE" not in states.values():
            return f"no version is available: {states}"
        return ""

    def _metadata(self, draw: random.Random, served: dict[int, int]) -> str:
        version = draw.choice(list(served))
        response = self._http.get(f"{_BASE}/versions/{version}/metadata")
        if response.status_code != 200:
            return _unexpected(response)
        found = response.json()["model_spec"]["version"], set(signatures.of(response.json()))
        return "" if found == (str(version), self._signatures) else f"metadata of {found}"

    def _metrics(self) -> str:
        response = self._http.get("/monitoring/prometheus/metrics")
        counted = ":tensorflow:serving:request_count{"
        if response.status_code != 200 or counted not in response.text:
            return _unexpected(response)
        return "requests failed with INTERNAL" if '"INTERNAL"' in response.text else ""

    def _malformed(self, draw: random.Random) -> str:
        method, target, body, headers, status = draw.choice(_MALFORMED)
        with wire.Connection(self._port) as connection:  # not httpx, which normalizes paths
            connection.socket.sendall(wire.request(method, target, body, (*headers.items(),)))
            response = connection.read(method)
        if response is None:
            return f"{method} {target} {body[:100]!r}: the server closed the connection"
        is_api = response.type == "application/json"
        if response.status != status or (is_api and list(json.loads(response.body)) != ["error"]):
            return f"{method} {target} {body[:100]!r}: {response.status} instead of {status}: {response.body[:300]!r}"
        return ""

    def _disconnect(self, draw: random.Random) -> str:
        body = _generate(num_chars=_MANY_CHARS)
        data = wire.request("POST", _PREDICT, body)
        with socket.create_connection(("127.0.0.1", self._port), timeout=wire.SECONDS) as connection:
            connection.sendall(data[: draw.choice((len(data), draw.randrange(len(data))))])
        return ""


def agrees(got: Any, expected: Any) -> bool:
    """Return whether two JSON values are the same, up to the rounding of floating-point numbers."""
    if isinstance(expected, dict):
        return isinstance(got, dict) and got.keys() == expected.keys() and all(agrees(got[k], expected[k]) for k in got)
    if isinstance(expected, list):
        return isinstance(got, list) and len(got) == len(expected) and all(map(agrees, got, expected))
    if isinstance(expected, float) and isinstance(got, float):
        return math.isclose(got, expected, rel_tol=1e-4, abs_tol=1e-5)
    return type(got) is type(expected) and bool(got == expected)


def _same_lengths(got: Any, expected: Any) -> bool:
    """Compare texts of random seeds."""
    return list(map(len, got["predictions"])) == list(map(len, expected["predictions"]))


def _question(draw: random.Random, name: str, inputs: dict[str, signatures.Input], is_long: bool) -> bytes:
    rows = [signatures.row(draw, inputs, longest=60) for _ in range(draw.randint(1, 3))]
    if is_long:
        rows = rows[:1]
        for key, longest in (("text", _LONG_TEXT), ("prompt", _LONG_PROMPT)):
            if key in inputs and name != "alternatives":
                rows[0][key] = "".join(draw.choices(" etaoin", k=longest))
        if "num_chars" in inputs:
            rows[0]["num_chars"] = _MANY_CHARS
    return json.dumps({"signature_name": name, "instances": rows}).encode()


def _unexpected(response: httpx.Response) -> str:
    return f"{response.request.method} {response.request.url}: {response.status_code} {response.text[:300]}"
