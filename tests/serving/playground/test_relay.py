"""The relay in front of a model server that is a function: forwarded requests, rejected ones, messages of failures."""

import asyncio
from typing import Any

import httpx
import pytest

from serving.playground import relay
from serving.playground.app import application
from tests.serving.playground.fake import Browser, Fake

URL = "http://model.example:8501"
PREDICT = "/v1/models/m:predict"


def client(fake: Fake, **settings: Any) -> Browser:
    app = application(f"{URL}/", "m", transport=fake.transport, **settings)
    return Browser(app)


@pytest.mark.parametrize("which", ["", "/versions/12", "/labels/stable"])
@pytest.mark.parametrize(("method", "verb"), [("POST", ":predict"), ("GET", "/metadata"), ("GET", "")])
def test_the_routes_of_the_model_are_forwarded_byte_for_byte(which: str, method: str, verb: str) -> None:
    path = f"/v1/models/m{which}{verb}"
    answer = b'{"predictions": [NaN, -0.0, 1.0, "\xc3\xa9"]}'
    fake = Fake({path: answer})
    body = b'{"instances": [ -0.0, NaN ]}' if method == "POST" else b""
    with client(fake) as browser:
        response = browser.request(method, path, content=body or None, headers={"cookie": "a=b"})
    assert (response.status_code, response.content) == (200, answer)
    (asked,) = fake.asked
    assert (asked.method, str(asked.url), asked.content) == (method, f"{URL}{path}", body)
    assert "cookie" not in asked.headers


def test_the_servers_errors_are_forwarded() -> None:
    with client(Fake({PREDICT: (400, {"error": "top_k must be 0"})})) as browser:
        response = browser.post(PREDICT, content=b"{}")
    assert (response.status_code, response.json()) == (400, {"error": "top_k must be 0"})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/models", 404),
        ("GET", "/v1/models/other", 404),
        ("POST", "/v1/models/other:predict", 404),
        ("POST", "/v1/models/m%2Fother:predict", 404),
        ("POST", "/v1/models/m/versions/1/../../other:predict", 404),
        ("POST", "/v1/models/m/labels/..:predict", 404),
        ("POST", "/v1/models/m:predict?x=1", 404),
        ("GET", "/v1/models/m/versions/x", 404),
        ("GET", "/v1//model.example/secret", 404),
        ("POST", "/v1/models/m:classify", 404),
        ("GET", "/v1/models/m:predict", 405),
        ("POST", "/v1/models/m/metadata", 405),
        ("POST", "/v1/models/m", 405),
        ("PUT", "/v1/models/m:predict", 405),
        ("GET", "/monitoring/prometheus/metrics", 404),
    ],
)
def test_other_routes_are_rejected(method: str, path: str, status: int) -> None:
    fake = Fake({})
    with client(fake) as browser:
        assert browser.request(method, path).status_code == status
    assert not fake.asked


def test_requests_and_responses_that_are_too_large_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "MAX_REQUEST_BYTES", 10)
    monkeypatch.setattr(relay, "MAX_RESPONSE_BYTES", 20)
    fake = Fake({PREDICT: b" " * 21})
    with client(fake) as browser:
        request = browser.post(PREDICT, content=b"x" * 11)
        assert not fake.asked
        answer = browser.post(PREDICT, content=b"x" * 10)
    assert (request.status_code, answer.status_code) == (413, 502)
    assert "larger than 10 bytes" in request.json()["error"]
    assert "larger than 20 bytes" in answer.json()["error"]


@pytest.mark.parametrize(
    ("raised", "status", "words"),
    [
        (httpx.ConnectError("refused"), 502, f"The model server at {URL} cannot be reached."),
        (httpx.ReadError("reset"), 502, "closed the connection early"),
        (httpx.RemoteProtocolError("closed"), 502, "closed the connection early"),
        (httpx.ReadTimeout("slow"), 504, "did not respond within 120 s"),
    ],
)
def test_a_server_that_does_not_respond_is_reported(raised: Exception, status: int, words: str) -> None:
    async def fail(_: httpx.Request) -> Any:
        raise raised

    with client(Fake({PREDICT: fail})) as browser:
        response = browser.post(PREDICT, content=b"{}")
    assert response.status_code == status
    assert words in response.json()["error"]


def test_a_response_has_a_time_limit() -> None:
    async def sleep(_: httpx.Request) -> Any:
        await asyncio.sleep(60)

    with client(Fake({PREDICT: sleep}), timeout=0.05) as browser:
        response = browser.post(PREDICT, content=b"{}")
    assert response.status_code == 504
    assert "within 0.05 s" in response.json()["error"]


def test_the_upstream_request_is_cancelled_when_the_browser_disconnects() -> None:
    async def run() -> str:
        asked, ended = asyncio.Event(), asyncio.get_running_loop().create_future()

        async def work(_: httpx.Request) -> Any:
            asked.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                ended.set_result("cancelled")
                raise

        fake = Fake({PREDICT: work})
        app = application(URL, "m", transport=fake.transport)
        sent: list[Any] = []
        messages = [{"type": "http.request", "body": b"{}", "more_body": False}]

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await asked.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": PREDICT,
            "raw_path": PREDICT.encode(),
            "query_string": b"",
            "headers": [(b"host", b"localhost:8502")],
            "root_path": "",
        }
        await app(scope, receive, send)
        return str(await asyncio.wait_for(ended, 5))

    assert asyncio.run(run()) == "cancelled"
