"""The HTTP side with the real codec; catalogue and model are stand-ins whose responses can be held back.

`test_main.py` uses real sockets.
"""

import asyncio
from typing import Any

import pytest

from serving.embedded.rest.app import ServerLimits
from tests.serving.embedded.held_back import BODY, MODEL, URL, Served, error, run

pytestmark = pytest.mark.integration


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
        assert "No classification inputs" in error(
            await served.post(b'{"examples": [{}]}', "/v1/models/m:classify"), 400
        )
        trace = await served.client.request("TRACE", "/other")
        assert (trace.status_code, "501 Not Implemented" in trace.text) == (501, True)
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
            (b'{"examples": [1]}', "/v1/models/x:regress", 400, "Example must be JSON object"),
            (b'{"examples": [{}], "signature_name": "?"}', "/v1/models/x:regress", 404, "Servable not found"),
            (b'{"examples": [{}], "signature_name": "?"}', "/v1/models/m:regress", 400, "No signature was found"),
        ]:
            assert expected in error(await served.post(body, url), status)

    run(test)


def test_a_request_that_takes_too_long_is_answered_with_504() -> None:
    async def test(served: Served) -> None:
        served.model.released.clear()
        assert error(await served.post(), 504) == "No answer within 0.1 s"
        await served.until_running(0)

    run(test, ServerLimits(0.1, 10_000, 3))


def test_work_is_cancelled_when_the_client_disconnects() -> None:
    async def test(served: Served) -> None:
        served.model.released.clear()
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


def test_too_many_concurrent_requests_are_rejected() -> None:
    async def test(served: Served) -> None:
        served.model.released.clear()
        busy = [asyncio.ensure_future(served.post()) for _ in range(3)]
        await served.until_running(3)
        assert "already answering 3 requests" in error(await served.post(), 503)
        # Health checks and label changes are answered under full load.
        for url, status in ((MODEL, 200), (f"{MODEL}/metadata", 200), ("/v1/models/x", 404)):
            assert (await served.client.get(url)).status_code == status
        served.model.released.set()
        assert {(await one).status_code for one in busy} == {200}
        assert (await served.post()).status_code == 200

    run(test)


@pytest.mark.parametrize("cross_origin", [False, True])
def test_cross_origin_requests(cross_origin: bool) -> None:
    async def test(served: Served) -> None:
        for response in (await served.post(), await served.post(b"")):
            assert ("access-control-allow-origin" in response.headers) is cross_origin
        allowed = await served.client.options(URL, headers={"origin": "https://example.org"})
        assert (allowed.status_code, allowed.content) == (200, b"")
        assert allowed.headers["content-type"] == "text/html; charset=ISO-8859-1"
        assert allowed.headers.get("access-control-allow-methods") == ("POST, GET" if cross_origin else None)
        for headers in ({}, {"origin": "file://x"}):
            refused = await served.client.options(URL, headers=headers)
            assert (refused.status_code, refused.content) == (400, b"")

    run(test, ServerLimits(5.0, 10_000, 3, cross_origin))


def test_an_unexpected_exception_is_a_json_error_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def test(served: Served) -> None:
        served.model.error = ZeroDivisionError("oh")
        assert error(await served.post(), 500) == "ZeroDivisionError: oh"

    run(test)
    assert "Unhandled exception" in caplog.text


def test_metrics_count_known_models_by_name_and_others_together() -> None:
    async def test(served: Served) -> None:
        await served.post()
        await served.post(b"")
        for name in ("x", "y", "%ff"):
            await served.post(b"{}", f"/v1/models/{name}:predict")
        for path in ("m", "m/metadata", "x"):
            await served.client.get(f"/v1/models/{path}")
        await served.client.get("/v1/")
        page = await served.client.get("/monitoring/prometheus/metrics")
        assert page.headers["content-type"].startswith("text/plain")
        counts = [line for line in page.text.splitlines() if "request_count{" in line]
        assert counts == [
            ':tensorflow:serving:request_count{model_name="",status="INVALID_ARGUMENT"} 1',
            ':tensorflow:serving:request_count{model_name="",status="NOT_FOUND"} 4',
            ':tensorflow:serving:request_count{model_name="m",status="INVALID_ARGUMENT"} 1',
            ':tensorflow:serving:request_count{model_name="m",status="OK"} 3',
        ]
        timed = [line for line in page.text.splitlines() if "request_latency_count{" in line]
        assert timed == [
            ':tensorflow:serving:request_latency_count{model_name="m",API="",entrypoint="REST"} 2',
            ':tensorflow:serving:request_latency_count{model_name="m",API="predict",entrypoint="REST"} 1',
        ]

    run(test)


def test_metrics_can_be_turned_off() -> None:
    async def test(served: Served) -> None:
        assert (await served.client.get("/monitoring/prometheus/metrics")).status_code == 404

    run(test, ServerLimits(5.0, 10_000, 3, metrics_path=None))
