"""Addresses of servers, before anything is sent to them."""

import doctest

import pytest

from components.errors import UserError
from kubeflow.deploy import address


def test_docstring_examples_are_true() -> None:
    assert doctest.testmod(address).failed == 0


@pytest.mark.parametrize(
    "value",
    [
        "http://localhost:8080",
        "https://kubeflow.example.org/pipeline",
        "HTTP://ml-pipeline.kubeflow.svc:8888/",
        "http://[::1]:8080",
        "http://10.0.0.1",
        "https://abc-dot-us-central1.pipelines.googleusercontent.com",
    ],
)
def test_address_is_accepted(value: str) -> None:
    assert address.check("--host", f" {value}\n") == value


def test_missing_address_is_left_to_the_client() -> None:
    assert address.check("--host", None) is None
    assert address.check("--host", " ") is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("localhost:8080", "http://localhost:8080 or https://"),
        ("httpbin.org", "http://httpbin.org or https://"),
        ("//localhost", "http://localhost or https://"),
        ("http:/localhost", "begin with the protocol"),
        ("ftp://localhost", "not ftp"),
        ("http://", "name or IP address"),
        ("http://:8080", "name or IP address"),
        ("http:///pipeline", "name or IP address"),
        ("http://-x", "name or IP address"),
        ("http://a,b", "name or IP address"),
        ("http://[", "brackets"),
        ("http://[x]", "brackets|name or IP address"),
        ("http://local host", "space"),
        ("http://local\nhost", "space"),
        ("http://b\u00fccher.example", "another character"),
        ("http://localhost:", "1 to 65535"),
        ("http://localhost:0", "1 to 65535"),
        ("http://localhost:80800", "1 to 65535"),
        ("http://localhost:http", "1 to 65535"),
        ("http://me:secret@localhost", "user and password"),
        ("http://localhost:8080/#/pipelines", "browser adds to it: http://localhost:8080/"),
        ("http://localhost:8080/?ns=x", "browser adds"),
        ("http://localhost:8080/apis/v2beta1/healthz", "leave out /apis.*: http://localhost:8080"),
    ],
)
def test_malformed_address_is_explained(value: str, reason: str) -> None:
    with pytest.raises(UserError, match=f"(?s)The address cannot be used: .*({reason}).*Received: --host "):
        address.check("--host", value)


@pytest.mark.parametrize(
    "value", ["http://me:secret@localhost", "me:secret@localhost", "//me:secret@[", "ftp://:secret@h"]
)
def test_password_is_not_printed(value: str) -> None:
    with pytest.raises(UserError) as raised:
        address.check("--proxy", value)
    assert "secret" not in str(raised.value)
    assert "...@" in str(raised.value)
