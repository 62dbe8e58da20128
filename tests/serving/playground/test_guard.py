"""Requests from pages of other sites are rejected; every response carries the security headers."""

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from serving.playground.guard import HEADERS, Guard, rejection
from tests.serving.playground.fake import Browser


def headers(**given: str) -> Headers:
    return Headers({name.replace("_", "-"): value for name, value in given.items()})


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8502", "play.localhost:1", "127.0.0.1:8502", "192.168.1.7:8502", "[::1]:8502", "[::1]"],
)
def test_addresses_and_localhost_are_accepted(host: str) -> None:
    assert rejection(headers(host=host)) is None


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
        "[127.0.0.1]",
    ],
)
def test_names_that_an_attacker_can_own_are_rejected(host: str) -> None:
    reason = rejection(headers(host=host))
    assert reason is not None
    assert f"Received: {host}" in reason


def test_an_allowed_name_is_accepted() -> None:
    assert rejection(headers(host="Box.example:8502"), {"box.example"}) is None
    assert rejection(headers(host="other.example:8502"), {"box.example"}) is not None


@pytest.mark.parametrize(
    ("given", "accepted"),
    [
        ({"sec_fetch_site": "same-origin", "origin": "http://localhost:8502"}, True),
        ({"sec_fetch_site": "none", "sec_fetch_mode": "navigate"}, True),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, True),  # a link to the page
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "origin": "http://evil.example"}, False),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}, False),
        ({"sec_fetch_site": "same-site", "sec_fetch_mode": "cors"}, False),  # another port of localhost
        ({"origin": "http://localhost:9999"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://["}, False),
        ({"origin": ""}, False),
    ],
)
def test_only_the_playgrounds_page_may_send_requests(given: dict[str, str], accepted: bool) -> None:
    assert (rejection(headers(host="localhost:8502", **given)) is None) is accepted


def test_responses_and_rejections_carry_the_headers() -> None:
    app = Guard(Starlette(routes=[Route("/", lambda _: PlainTextResponse("hello"))]))
    with Browser(app) as browser:
        responses = [browser.get("/"), browser.get("/missing"), browser.get("/", headers={"host": "evil.example"})]
    for response in responses:
        assert {name: response.headers[name] for name in HEADERS} == HEADERS
        assert response.headers["cache-control"] == "no-cache"
    assert [response.status_code for response in responses] == [200, 404, 403]
    assert responses[0].text == "hello"


def test_the_policy_allows_no_inline_code_and_no_other_origin() -> None:
    policy = dict(part.strip().split(" ", 1) for part in HEADERS["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert {value for key, value in policy.items()} == {"'none'", "'self'"}
