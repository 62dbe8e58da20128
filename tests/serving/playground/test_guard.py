"""Requests that a page of another site made a browser send are refused; every answer carries the security headers."""

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from serving.playground.guard import HEADERS, Guard, refusal
from tests.serving.playground.fake import Browser


def headers(**given: str) -> Headers:
    return Headers({name.replace("_", "-"): value for name, value in given.items()})


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8502", "play.localhost:1", "127.0.0.1:8502", "192.168.1.7:8502", "[::1]:8502", "[::1]"],
)
def test_addresses_and_localhost_are_answered(host: str) -> None:
    assert refusal(headers(host=host)) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8502",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "a@127.0.0.1",
        "[::1",
    ],
)
def test_names_that_somebody_else_may_hold_are_not(host: str) -> None:
    said = refusal(headers(host=host))
    assert said is not None
    assert f"Received: {host}" in said


def test_a_name_is_answered_once_it_is_allowed() -> None:
    assert refusal(headers(host="Box.example:8502"), {"box.example"}) is None
    assert refusal(headers(host="other.example:8502"), {"box.example"}) is not None


@pytest.mark.parametrize(
    ("given", "answered"),
    [
        ({"sec_fetch_site": "same-origin", "origin": "http://localhost:8502"}, True),
        ({"sec_fetch_site": "none", "sec_fetch_mode": "navigate"}, True),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, True),  # a link to the page
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "origin": "http://evil.example"}, False),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}, False),
        ({"sec_fetch_site": "same-site", "sec_fetch_mode": "cors"}, False),  # another port of localhost
        ({"origin": "http://localhost:9999"}, False),
        ({"origin": "null"}, False),
    ],
)
def test_only_the_own_page_may_ask(given: dict[str, str], answered: bool) -> None:
    assert (refusal(headers(host="localhost:8502", **given)) is None) is answered


def test_answers_and_refusals_carry_the_headers() -> None:
    app = Guard(Starlette(routes=[Route("/", lambda _: PlainTextResponse("hello"))]))
    with Browser(app) as browser:
        answers = [browser.get("/"), browser.get("/missing"), browser.get("/", headers={"host": "evil.example"})]
    for answer in answers:
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert answer.headers["cache-control"] == "no-cache"
    assert [answer.status_code for answer in answers] == [200, 404, 403]
    assert answers[0].text == "hello"


def test_the_policy_allows_nothing_inline_and_no_other_place() -> None:
    policy = dict(part.strip().split(" ", 1) for part in HEADERS["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert {value for key, value in policy.items()} == {"'none'", "'self'"}
