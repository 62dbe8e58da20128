"""The middleware in front of the page and of the embedded server's routes, without sockets."""

import asyncio

import httpx
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from serving.access import keys
from serving.access.keys import Keys
from serving.access.require_key import RequireKey

KEY = "a-key-0123456789"


def respond(method: str, path: str, key: str | None) -> httpx.Response:
    answer = Route("/{path:path}", lambda _: PlainTextResponse("hello"), methods=["GET", "POST", "OPTIONS"])
    app = RequireKey(Starlette(routes=[Mount("/v1", routes=[answer]), answer]), Keys([KEY]), lambda: refused.append(1))

    async def send() -> httpx.Response:
        headers = keys.header(key) if key else {}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://s") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(send())


refused: list[int] = []


def test_every_path_needs_a_key() -> None:
    for path in ("/", "/about", "/v1/models/m", "/monitoring/prometheus/metrics"):
        for method in ("GET", "POST"):
            assert respond(method, path, KEY).text == "hello"
            before = len(refused)
            for wrong in (None, "another-key-012345"):
                response = respond(method, path, wrong)
                assert response.status_code == 401
                assert "Authorization: Bearer" in response.json()["error"]
                assert response.headers.get_list("www-authenticate")[0].startswith("Basic realm=")
                assert "another" not in response.text
            assert len(refused) == before + 2


def test_preflight_requests_carry_no_key() -> None:
    assert respond("OPTIONS", "/v1/models/m:predict", None).status_code == 200
