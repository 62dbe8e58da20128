"""Requests for the fuzzer: valid ones of each signature, with changed structure, bytes, paths, methods and framing."""

import copy
import gzip
import json
import random
from dataclasses import dataclass
from typing import Any

from scripts.traffic import MODEL, signatures, wire
from scripts.traffic.signatures import Signatures

FRAMED, HEAD, WILD = "bodies and paths", "methods and headers", "broken HTTP"
_BASE = f"/v1/models/{MODEL}"
_PREDICT = f"{_BASE}:predict"
_TARGETS = (
    *(f"{_BASE}{which}:predict" for which in ("", "/versions/1", "/labels/stable", "/versions/2", "/labels/none")),
    *(f"{_BASE}:classify", f"{_BASE}:regress", f"{_BASE}/metadata", f"{_BASE}/versions/1/metadata", _BASE),
    *("/v1/models", f"{_BASE}/versions/1", "/v1/models/other:predict", "/v1/", "/", "/monitoring/prometheus/metrics"),
)
_PIECES = (
    *("/", "//", "v1", "models", MODEL, "versions", "labels", "stable", "1", "metadata", ":predict", ":classify", ".."),
    *(":", "?", "%00", "%2e%2e", "%2F", "%zz", "%", "9" * 30, "%c3%a9", "%ff", "&", "=", "~", "A"),
)
_METHODS = ("GET", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "REPORT", "LOCK")
_ODD = (
    *(None, True, False, 0, -1, 1, 0.5, 1e-310, 2**31 - 1, 2**31, -(2**31), 2**63, -(2**63) - 1, 10**400, 1e300),
    *(float("nan"), float("inf"), -float("inf"), "", "a", "\0", "\u2028", "é" * 300, " e" * 2_000, "\ud800"),
    *([], [[]], [[], [1]], [1, "a"], {}, {"b64": "YQ=="}, {"b64": "*"}, {"b64": None}, {"a": 1}, [[[[[[1.0]]]]]]),
    *([0.0] * 40, ["a"] * 300, [["a", "b"], ["c"]]),
)
_KEYS = ("instances", "inputs", "signature_name", "examples", "prompt", "num_chars", "state", "text", "b64", "", "é")
_HEADERS = (
    *("Content-Type", "Content-Encoding", "Accept-Encoding", "Connection", "Expect", "Origin", "Upgrade", "Host"),
    *("Content-Length", "Transfer-Encoding", "Authorization", "X-" + "a" * 500),
)
_VALUES = (
    *("gzip", "chunked", "close", "identity", "websocket", "100-continue", "h2c", "-1", "0", "+5", "0x10", "1e3", ""),
    *("keep-alive, Upgrade", "9" * 20, "http://a", "null", "\x80\xff", "a\tb", "a" * 5_000, "Bearer x"),
)


@dataclass(frozen=True)
class Attempt:
    """A request to send.

    Attributes:
      kind: `FRAMED`, `HEAD` or `WILD`.
      may_close: whether the server may refuse it as HTTP and close the connection.
    """

    kind: str
    method: str
    target: str
    data: bytes
    may_close: bool


def framed(draw: random.Random, known: Signatures) -> Attempt:
    """Make a request whose end is certain, so that others can follow on the same connection."""
    method, target = "POST", draw.choice(_TARGETS) if draw.random() < 0.3 else _PREDICT
    if draw.random() < 0.1:
        method = draw.choice(_METHODS)
    elif not target.rpartition(":")[2].isalpha():
        method = "GET"
    changed = draw.random() < 0.15
    if changed:
        target = _altered_target(draw, target)
    content = body(draw, known) if method == "POST" or draw.random() < 0.1 else b""
    headers: list[tuple[str, str]] = []
    if content and draw.random() < 0.05:
        content = gzip.compress(content, 1)
        content = _altered_bytes(draw, content) if draw.random() < 0.5 else content
        headers.append(("Content-Encoding", "gzip"))
    if content and draw.random() < 0.1:
        headers.append(("Transfer-Encoding", "chunked"))
        sizes = [draw.randint(1, 40) for _ in range(draw.randint(0, 3))]
        data = wire.request(method, target, b"", (*headers,)) + wire.chunked(content, sizes)
    else:
        data = wire.request(method, target, content, (*headers,))
    return Attempt(FRAMED, method, target, data, may_close=changed)


def head(draw: random.Random, known: Signatures) -> Attempt:
    """Make a request with an odd method, path or headers, which the server may refuse before it reads the body."""
    method = draw.choice((*_METHODS, "CONNECT", "FOO", "get", "", "M-SEARCH")) if draw.random() < 0.5 else "POST"
    target = draw.choice(_TARGETS) if draw.random() < 0.5 else _PREDICT
    if draw.random() < 0.3:
        target = _altered_target(draw, target)
    elif draw.random() < 0.2:
        target = draw.choice(("*", "", "http://a/v1/models", "é", "/v1/\x7f", "/" + "a" * 20_000, "//", "/v1/models/%"))
    headers = tuple((draw.choice(_HEADERS), draw.choice(_VALUES)) for _ in range(draw.randint(0, 4)))
    return Attempt(HEAD, method, target, wire.request(method, target, body(draw, known), headers), may_close=True)


def wild(draw: random.Random, known: Signatures) -> Attempt:
    """Make bytes that are hardly HTTP: a request with changed bytes, or the beginning of one, or two in one another."""
    data = draw.choice((framed, head))(draw, known).data
    for _ in range(draw.randint(1, 4)):
        data = _altered_bytes(draw, data)
    if draw.random() < 0.4:
        data = data[: draw.randrange(len(data) + 1)]
    if draw.random() < 0.2:
        place = draw.randrange(len(data) + 1)
        data = data[:place] + framed(draw, known).data + data[place:]
    return Attempt(WILD, "", "", data, may_close=True)


def body(draw: random.Random, known: Signatures) -> bytes:
    """Make a body: a valid request, most of the time with something wrong."""
    name, inputs = draw.choice(list(known.items()))
    rows = [signatures.row(draw, inputs) for _ in range(draw.choice((1, 1, 1, 2, 3, 0)))]
    document: Any = {"signature_name": name}
    if draw.random() < 0.7:
        document["instances"] = rows
    else:
        document["inputs"] = {key: [row[key] for row in rows] for key in inputs}
    for _ in range(draw.choice((0, 0, 1, 1, 2, 3))):
        document = _altered(draw, document)
    data = json.dumps(document, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")
    return _altered_bytes(draw, data) if draw.random() < 0.25 else data


def _altered(draw: random.Random, value: Any) -> Any:
    """Return the JSON value with one place in it changed."""
    if isinstance(value, dict) and value and draw.random() < 0.85:
        key = draw.choice(list(value))
        choice = draw.random()
        if choice < 0.1:
            return {name: inner for name, inner in value.items() if name != key}
        if choice < 0.2:
            return {**value, draw.choice(_KEYS): copy.deepcopy(draw.choice((*_ODD, value[key])))}
        return {**value, key: _altered(draw, value[key])}
    if isinstance(value, list) and value and draw.random() < 0.85:
        place = draw.randrange(len(value))
        choice = draw.random()
        if choice < 0.2:
            return value[:place] + value[place + 1 :]
        if choice < 0.3:
            return [*value, value[place]]
        return [*value[:place], _altered(draw, value[place]), *value[place + 1 :]]
    return [value] if draw.random() < 0.1 else draw.choice(_ODD)


def _altered_bytes(draw: random.Random, data: bytes) -> bytes:
    place, removed = draw.randrange(len(data) + 1), draw.randint(0, 6)
    if draw.random() < 0.1:
        return data[:place]
    return data[:place] + draw.randbytes(draw.randint(0, 6)) + data[place + removed :]


def _altered_target(draw: random.Random, target: str) -> str:
    place, removed = draw.randint(1, len(target)), draw.randint(0, 5)
    return target[:place] + draw.choice(_PIECES) * draw.randint(0, 2) + target[place + removed :]
