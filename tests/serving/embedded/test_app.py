"""The HTTP side over the real catalogue and codec; only the model is a stand-in whose answers can be held back.

`test_main.py` goes through real sockets.
"""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import numpy as np
import pytest

from serving.embedded.app import Limits, Server
from serving.embedded.metrics import Metrics
from serving.embedded.served import Version, not_found
from serving.embedded.signature import Signature, TensorInfo
from serving.embedded.statuses import Refusal, invalid

TEXT = TensorInfo("string", "DT_STRING", "x:0", (-1,))
URL = "/v1/models/m:predict"
BODY = b'{"instances": ["a"]}'
LIMITS = Limits(timeout_seconds=5.0, body_bytes=10_000, requests=3)


class Model:
    """Gives its input back, in capitals, once it may."""

    signatures = {"serving_default": Signature({"x": TEXT}, {"y": TEXT}, "tensorflow/serving/predict")}
    metadata = {"serving_default": {}}

    def __init__(self) -> None:
        self.loaded = self
        self.may_go = asyncio.Event()
        self.may_go.set()
        self.running = 0
        self.error: Exception | None = None

    def signature(self, name: str) -> Signature:
        if name not in self.signatures:
            raise invalid(f'Serving signature name: "{name}" not found in signature def')
        return self.signatures[name]

    async def run(self, name: str, inputs: Any) -> dict[str, Any]:
        self.running += 1
        try:
            if self.error:
                raise self.error
            await self.may_go.wait()
            return {"y": np.array([text.upper() for text in inputs["x"]] or [], object)}
        finally:
            self.running -= 1


class Catalogue:
    def __init__(self, model: Model) -> None:
        self.the_model = model
        self.users = 0

    def knows(self, name: str) -> bool:
        return name == "m"

    def model(self, name: str) -> "Catalogue":
        if name != "m":
            raise not_found(name, None)
        return self

    @contextmanager
    def use(self, number: int | None, label: str | None) -> Any:
        self.users += 1
        try:
            yield 1, self.the_model
        finally:
            self.users -= 1

    def status(self, name: str, number: int | None) -> list[Version]:
        if name != "m":
            raise Refusal("NOT_FOUND", f"Could not find any versions of model {name}")
        return [Version(2, "END", "DATA_LOSS", "cut"), Version(1, "AVAILABLE")]


class Served:
    def __init__(self, limits: Limits) -> None:
        self.model, self.metrics = Model(), Metrics()
        self.catalogue = Catalogue(self.model)
        self.app = Server(self.catalogue, self.metrics, limits).application()  # type: ignore[arg-type]
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://server")

    async def post(self, body: Any = BODY, url: str = URL, **headers: str) -> httpx.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(url, content=body, headers=names)

    async def until_running(self, count: int) -> None:
        while self.model.running != count:
            await asyncio.sleep(0.001)


@asynccontextmanager
async def server(limits: Limits = LIMITS) -> AsyncIterator[Served]:
    served = Served(limits)
    async with served.client:
        yield served


def run(test: Callable[[Served], Awaitable[None]], limits: Limits = LIMITS) -> Served:
    async def main() -> Served:
        async with server(limits) as served:
            await asyncio.wait_for(test(served), 20)
            assert (served.model.running, served.catalogue.users) == (0, 0)  # whatever happened, nothing is held
            return served

    return asyncio.run(main())


def error(response: httpx.Response, status: int) -> str:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    message = response.json()
    assert set(message) == {"error"}
    return str(message["error"])


def test_the_routes() -> None:
    async def test(served: Served) -> None:
        answer = await served.post()
        assert (answer.status_code, answer.json()) == (200, {"predictions": ["A"]})
        assert answer.headers["content-type"] == "application/json"
        assert (await served.post(b'{"inputs": ["a", "b"]}')).json() == {"outputs": ["A", "B"]}
        status = (await served.client.get("/v1/models/m")).json()["model_version_status"]
        assert [(one["version"], one["state"]) for one in status] == [("2", "END"), ("1", "AVAILABLE")]
        assert status[0]["status"] == {"error_code": "DATA_LOSS", "error_message": "cut"}
        metadata = (await served.client.get("/v1/models/m/metadata")).json()
        assert metadata["model_spec"] == {"name": "m", "signature_name": "", "version": "1"}
        assert "Malformed request: POST" in error(await served.post(url=URL + "?x=1"), 400)
        assert "Malformed request: PUT" in error(await served.client.put(URL), 400)
        assert "Servable not found" in error(await served.post(url="/v1/models/x:predict"), 404)
        assert "Could not find any versions" in error(await served.client.get("/v1/models/x"), 404)
        assert "Expected classification" in error(
            await served.post(b'{"examples": [{}]}', "/v1/models/m:classify"), 400
        )
        other = await served.client.get("/other?<script>")
        assert (other.status_code, "<script>" in other.text) == (404, False)

    run(test)


def test_the_order_of_checks() -> None:
    async def test(served: Served) -> None:
        for body, url, status, expected in [
            (b"", "/v1/models/x:predict", 400, "The document is empty"),
            (b'{"signature_name": 1}', "/v1/models/x:predict", 400, "must be a string"),
            (b'{"signature_name": "?"}', "/v1/models/x:predict", 404, "Servable not found"),
            (b'{"signature_name": "?"}', URL, 400, 'Serving signature name: "?" not found'),
            (b"{}", URL, 400, "Missing 'inputs' or 'instances' key"),
        ]:
            assert expected in error(await served.post(body, url), status)

    run(test)


def test_a_request_that_takes_too_long() -> None:
    async def test(served: Served) -> None:
        served.model.may_go.clear()
        assert error(await served.post(), 504) == "No answer within 0.1 s"
        await served.until_running(0)

    run(test, Limits(0.1, 10_000, 3))


def test_a_body_that_takes_too_long() -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield b'{"instances":'
        await asyncio.sleep(5)
        yield b"[]}"

    async def test(served: Served) -> None:
        assert error(await served.post(slowly()), 504) == "No answer within 0.1 s"

    run(test, Limits(0.1, 10_000, 3))


def test_slow_bodies_take_no_places() -> None:
    async def test(served: Served) -> None:
        go = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield BODY[:5]
            await go.wait()
            yield BODY[5:]

        slow = [asyncio.ensure_future(served.post(slowly())) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert (await served.post()).status_code == 200
        go.set()
        assert {(await one).status_code for one in slow} == {200}

    run(test)


def test_a_client_that_leaves_is_not_worked_for() -> None:
    async def test(served: Served) -> None:
        served.model.may_go.clear()
        gone = asyncio.Event()
        sent: list[Any] = []
        bodies = [{"type": "http.request", "body": BODY, "more_body": False}]

        async def receive() -> Any:
            if bodies:
                return bodies.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": URL,
            "raw_path": URL.encode(),
            "query_string": b"",
            "headers": [],
        }
        request = asyncio.ensure_future(served.app(scope, receive, send))  # type: ignore[arg-type]
        await served.until_running(1)
        gone.set()
        await request
        await served.until_running(0)
        assert sent == []

    assert 'status="CANCELLED"} 1' in run(test).metrics.text()


def test_too_many_at_the_same_time() -> None:
    async def test(served: Served) -> None:
        served.model.may_go.clear()
        busy = [asyncio.ensure_future(served.post()) for _ in range(3)]
        await served.until_running(3)
        assert "answering 3 requests already" in error(await served.post(), 503)
        served.model.may_go.set()
        assert {(await one).status_code for one in busy} == {200}
        assert (await served.post()).status_code == 200

    run(test)


def large(size: int) -> bytes:
    return json.dumps({"instances": ["a" * (size - len('{"instances": [""]}'))]}).encode()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_the_largest_body_and_a_larger_one(pack: Callable[[bytes], bytes]) -> None:
    async def test(served: Served) -> None:
        encoding = {"content_encoding": "gzip"} if pack is gzip.compress else {}
        assert (await served.post(pack(large(10_000)), **encoding)).status_code == 200
        assert "larger than 10000 bytes" in error(await served.post(pack(large(10_001)), **encoding), 413)

    run(test)


def test_a_gzip_bomb_is_not_unpacked() -> None:
    async def test(served: Served) -> None:
        assert "larger than" in error(await served.post(gzip.compress(bytes(10**8)), content_encoding="gzip"), 413)
        assert "gzip" in error(await served.post(BODY, content_encoding="gzip"), 400)

    run(test, Limits(5.0, 200_000, 3))


def test_too_much_on_its_way_in() -> None:
    async def test(served: Served) -> None:
        go = asyncio.Event()

        async def almost() -> AsyncIterator[bytes]:
            yield bytes(9_999)
            await go.wait()

        waiting = [asyncio.ensure_future(served.post(almost())) for _ in range(16)]
        await asyncio.sleep(0.05)
        assert "Too many large requests" in error(await served.post(large(9_000)), 503)
        go.set()
        assert {(await one).status_code for one in waiting} == {400}
        assert (await served.post(large(9_000))).status_code == 200

    run(test, Limits(5.0, 10_000, 100))


@pytest.mark.parametrize("cross_origin", [False, True])
def test_other_origins(cross_origin: bool) -> None:
    async def test(served: Served) -> None:
        for response in (await served.post(), await served.post(b"")):
            assert ("access-control-allow-origin" in response.headers) is cross_origin
        allowed = await served.client.options(URL, headers={"origin": "https://example.org"})
        assert (allowed.status_code, allowed.content) == (200, b"")
        assert allowed.headers.get("access-control-allow-methods") == ("POST, GET" if cross_origin else None)
        for headers in ({}, {"origin": "file://x"}):
            refused = await served.client.options(URL, headers=headers)
            assert (refused.status_code, refused.content) == (400, b"")

    run(test, Limits(5.0, 10_000, 3, cross_origin))


def test_what_was_not_foreseen_is_an_error_in_json_and_not_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async def test(served: Served) -> None:
        served.model.error = ZeroDivisionError("oh")
        assert error(await served.post(), 500) == "ZeroDivisionError: oh"

    run(test)
    assert "not foreseen" in caplog.text


def test_metrics_count_known_models_by_name_and_others_together() -> None:
    async def test(served: Served) -> None:
        await served.post()
        await served.post(b"")
        for name in ("x", "y", "%ff"):
            await served.post(b"{}", f"/v1/models/{name}:predict")
        await served.client.get("/v1/models/m")  # not counted, as in TF Serving
        page = await served.client.get("/monitoring/prometheus/metrics")
        assert page.headers["content-type"].startswith("text/plain")
        counts = [line for line in page.text.splitlines() if "request_count{" in line]
        assert counts == [
            ':tensorflow:serving:request_count{model_name="",status="NOT_FOUND"} 3',
            ':tensorflow:serving:request_count{model_name="m",status="INVALID_ARGUMENT"} 1',
            ':tensorflow:serving:request_count{model_name="m",status="OK"} 1',
        ]

    run(test)


def test_metrics_may_be_off() -> None:
    async def test(served: Served) -> None:
        assert (await served.client.get("/monitoring/prometheus/metrics")).status_code == 404

    run(test, Limits(5.0, 10_000, 3, metrics_path=None))
