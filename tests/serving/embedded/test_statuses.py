"""Codes, HTTP statuses and texts of errors."""

import json

import pytest

from serving.embedded import statuses
from serving.embedded.statuses import RequestError


@pytest.mark.parametrize(
    ("code", "http"),
    [
        ("INVALID_ARGUMENT", 400),
        ("FAILED_PRECONDITION", 400),
        ("OUT_OF_RANGE", 400),
        ("UNAUTHENTICATED", 401),
        ("PERMISSION_DENIED", 403),
        ("NOT_FOUND", 404),
        ("ALREADY_EXISTS", 409),
        ("ABORTED", 409),
        ("PAYLOAD_TOO_LARGE", 413),
        ("RESOURCE_EXHAUSTED", 429),
        ("CANCELLED", 499),
        ("UNIMPLEMENTED", 501),
        ("UNAVAILABLE", 503),
        ("DEADLINE_EXCEEDED", 504),
        ("INTERNAL", 500),
        ("UNKNOWN", 500),
        ("DATA_LOSS", 500),
    ],
)
def test_each_code_has_tf_servings_http_status(code: str, http: int) -> None:
    assert RequestError(code, "why").http == http


def test_a_prefixed_message_contains_the_code() -> None:
    error = RequestError("UNIMPLEMENTED", "no float16").prefixed("Element 3: ")
    assert (error.code, error.message) == ("INVALID_ARGUMENT", "Element 3: UNIMPLEMENTED: no float16")


@pytest.mark.parametrize("message", ['a "quoted" word', "line\nbreak", "é 😀", "", "\x00\x1f"])
def test_the_body_is_json_with_the_message(message: str) -> None:
    assert json.loads(statuses.body(message)) == {"error": message}


def test_invalid_utf8_in_a_message_is_written_unchanged() -> None:
    assert b"\xff" in statuses.body(b"name \xff".decode("utf-8", "surrogateescape"))
