"""A case of the contract: a request, the conforming responses, and the place in TF Serving's sources."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.serving.contract.wire import Response

CONTRACT = "/v1/models/contract"
TEXT = "/v1/models/text"

Headers = tuple[tuple[str, str], ...]
Complaint = str  # why a response does not conform; empty if it does


@dataclass(frozen=True)
class Answer:
    """One conforming response: its status, and a check of headers and body."""

    status: int
    check: Callable[[Response], Complaint]
    promise: str


@dataclass(frozen=True)
class Case:
    """A row of the table.

    Attributes:
      source: file below `tensorflow_serving/` in TF Serving's repository, or another project's, with the function.
      answers: conforming responses; several where releases differ.
    """

    id: str
    source: str
    method: str
    target: str
    body: bytes
    answers: tuple[Answer, ...]
    headers: Headers = ()

    def complaint(self, response: Response) -> Complaint:
        """Return why the response is none of the conforming ones; empty if it is one."""
        reasons = []
        for answer in self.answers:
            reason = (
                answer.check(response)
                if response.status == answer.status
                else f"status {response.status}, expected {answer.status}"
            )
            if not reason:
                return ""
            reasons.append(f"not {answer.promise}: {reason}")
        return (
            f"{self.method} {self.target} {self.body[:300]!r}\n  source: {self.source}\n  "
            + "\n  ".join(reasons)
            + f"\n  got {response.status}: {response.text()[:500]}"
        )


def predict(
    id: str,
    source: str,
    body: Any,
    *answers: Answer,
    signature: str = "",
    target: str = f"{CONTRACT}:predict",
    headers: Headers = (),
) -> Case:
    """A predict request; `body` is the bytes to send, or the keys of the JSON object."""
    if not isinstance(body, bytes):
        body = encode({"signature_name": signature, **body} if signature else body)
    return Case(id, source, "POST", target, body, answers, headers)


def get(id: str, source: str, target: str, *answers: Answer, headers: Headers = ()) -> Case:
    """A GET request."""
    return Case(id, source, "GET", target, b"", answers, headers)


def encode(value: Any) -> bytes:
    """JSON as a Python client writes it, `NaN` included, with characters unescaped."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def ok(value: Any) -> Answer:
    """200 and exactly this JSON: numbers of the same kind (1 is not 1.0), NaN equals NaN, any order of keys."""
    return Answer(200, lambda r: _json(r) or same(r.json(), value), f"200 {value!r}"[:300])


def ok_that(promise: str, holds: Callable[[Any], bool]) -> Answer:
    """200 and JSON for which `holds` is true."""
    return Answer(
        200, lambda r: _json(r) or ("" if holds(r.json()) else "the body has other content"), f"200 with {promise}"
    )


def ok_raw(*tokens: bytes) -> Answer:
    """200 and a body that contains these bytes, for differences that parsing hides."""

    def check(response: Response) -> Complaint:
        return next((f"{token!r} is not in the body" for token in tokens if token not in response.body), "")

    return Answer(200, check, f"200 containing {tokens!r}")


def ok_tokens(value: Any) -> Answer:
    """200 and this JSON, with each number given as its literal."""

    def check(response: Response) -> Complaint:
        got = json.loads(response.body, parse_float=str, parse_int=str, parse_constant=str)
        return same(got, value)

    return Answer(200, check, f"200 with the tokens {value!r}")


def error(status: int, *parts: str) -> Answer:
    """A JSON object with the single key `error`, whose message contains these parts."""

    def check(response: Response) -> Complaint:
        if complaint := _json(response):
            return complaint
        content = response.json()
        if not isinstance(content, dict) or list(content) != ["error"] or not isinstance(content["error"], str):
            return "the body is not an object with the single key 'error'"
        missing = [part for part in parts if part not in content["error"]]
        return f"the message does not contain {missing!r}" if missing else ""

    return Answer(status, check, f"{status} with an error that contains {' and '.join(map(repr, parts))}")


def error_in_order(status: int, *parts: str) -> Answer:
    """The same with the parts in this order, one after the other."""
    plain = error(status, *parts)

    def check(response: Response) -> Complaint:
        if complaint := plain.check(response):
            return complaint
        message = response.json()["error"]
        for part in parts:
            _, found, message = message.partition(part)
            if not found:
                return f"{part!r} is not after the part before it"
        return ""

    return Answer(status, check, f"{plain.promise}, in this order")


def error_bytes(status: int, part: bytes) -> Answer:
    """An error whose message contains these bytes unchanged, although they are not UTF-8."""

    def check(response: Response) -> Complaint:
        content = json.loads(response.body.decode("utf-8", "surrogateescape"))
        if list(content) != ["error"]:
            return "the body is not an object with the single key 'error'"
        return "" if part in content["error"].encode("utf-8", "surrogateescape") else f"{part!r} is not in the message"

    return Answer(status, check, f"{status} with an error that contains {part!r}")


def empty(status: int) -> Answer:
    """No body."""
    return Answer(status, lambda r: "" if not r.body else "there is a body", f"{status} without a body")


def any_body(status: int) -> Answer:
    """The status only."""
    return Answer(status, lambda _: "", f"{status}")


def empty_page(status: int) -> Answer:
    """No body, with the HTTP library's own content type."""
    blank, html = empty(status), page(status)
    return Answer(status, lambda r: blank.check(r) or html.check(r), f"{status} without a body, as HTML")


def page(status: int, *parts: str) -> Answer:
    """The HTTP library's page: HTML, not JSON."""

    def check(response: Response) -> Complaint:
        if not response.headers.get("content-type", "").startswith("text/html"):
            return f"the type is {response.headers.get('content-type')!r}, not text/html"
        return next((f"{part!r} is not in the page" for part in parts if part not in response.text()), "")

    return Answer(status, check, f"{status} with an HTML page")


def with_header(answer: Answer, name: str, value: str | None) -> Answer:
    """The same answer with this header, or without it (None)."""

    def check(response: Response) -> Complaint:
        got = response.headers.get(name)
        return answer.check(response) or ("" if got == value else f"header {name} is {got!r}, expected {value!r}")

    return Answer(answer.status, check, f"{answer.promise}, {name}: {value}")


def same(got: Any, expected: Any) -> Complaint:
    """Return where two JSON values differ; empty if they are equal."""
    if isinstance(expected, float) and isinstance(got, float):
        if math.isnan(expected) or math.isnan(got):
            return "" if math.isnan(expected) and math.isnan(got) else f"{got!r} instead of {expected!r}"
        equal = got == expected and math.copysign(1, got) == math.copysign(1, expected)
        return "" if equal else f"{got!r} instead of {expected!r}"
    if type(got) is not type(expected):
        return f"{got!r} instead of {expected!r}"
    if isinstance(expected, dict):
        if got.keys() != expected.keys():
            return f"keys {sorted(got)} instead of {sorted(expected)}"
        return _first(same(got[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        if len(got) != len(expected):
            return f"{len(got)} elements instead of {len(expected)}"
        return _first(map(same, got, expected))
    return "" if got == expected else f"{got!r} instead of {expected!r}"


def unique(tables: Sequence[Sequence[Case]]) -> list[Case]:
    """All cases of the tables.

    Raises:
      ValueError: two cases have the same id, so a report could not distinguish them.
    """
    cases = [case for table in tables for case in table]
    ids = [case.id for case in cases]
    if len(set(ids)) != len(ids):
        raise ValueError(f"These ids are not unique: {sorted({id for id in ids if ids.count(id) > 1})}")
    return cases


def _json(response: Response) -> Complaint:
    kind = response.headers.get("content-type", "")
    if kind != "application/json":
        return f"the type is {kind!r}, not application/json"
    try:
        response.json()
    except ValueError as problem:
        return f"the body is not JSON: {problem}"
    return ""


def _first(complaints: Any) -> Complaint:
    return next((complaint for complaint in complaints if complaint), "")
