"""Addresses, timeouts and the classes of httpx's errors; test_blocking.py uses a real connection."""

import socketserver
import threading
from typing import Any

import httpx
import pytest

from serving.client import transport
from serving.client.protocol import Failure, Response

GOOD: dict[str, Any] = {"url": "http://x", "model": "m", "version": None, "label": None, "retries": 1}


class Greeting(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(b"HTTP/1.1 204 No Content\r\n\r\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("url", "localhost:8501"),
        ("url", "ftp://x"),
        ("url", "http://"),
        ("url", "http://x:port"),
        ("url", "http://x/?a=b"),
        ("url", "http://x:99999"),
        ("url", "http://x:0"),
        ("url", "http://["),
        ("url", "http://a b"),
        ("url", "http://xn--a"),
        ("model", ""),
        ("model", "."),
        ("model", ".."),
        ("label", ""),
        ("label", ".."),
        ("version", "newest"),
        ("retries", None),
        ("version", -1),
        ("version", 2**63),
        ("retries", -1),
    ],
)
def test_invalid_address_is_an_error(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match="Received: "):
        transport.protocol(**{**GOOD, name: value})


def test_version_and_label_are_exclusive() -> None:
    with pytest.raises(ValueError, match="not both"):
        transport.protocol("http://x", "m", 1, "stable", 1)


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan"), float("inf"), 1e10, "5", None])
def test_timeout_is_positive_and_finite(timeout: Any) -> None:
    with pytest.raises(ValueError, match="timeout"):
        transport.options(transport.protocol(**GOOD), timeout, None)


@pytest.mark.integration
def test_longest_timeout_works() -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), Greeting) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        protocol = transport.protocol(**{**GOOD, "url": f"http://127.0.0.1:{server.server_address[1]}"})
        with httpx.Client(**transport.options(protocol, 1e6, None)) as client:
            assert client.get(protocol.base).status_code == 204
        thread.join()


@pytest.mark.parametrize(
    ("url", "uses_proxy"),
    [
        ("http://127.0.0.1:8501", False),
        ("http://localhost", False),
        ("http://[::1]:8501", False),
        ("http://10.0.0.1", True),
        ("https://example.org", True),
    ],
)
def test_proxy_is_not_used_for_this_machine(url: str, uses_proxy: bool) -> None:
    options = transport.options(transport.protocol(**{**GOOD, "url": url}), 60.0, {"Authorization": "Bearer x"})
    assert options["trust_env"] is uses_proxy
    assert options["headers"]["Authorization"] == "Bearer x"
    assert (options["timeout"].connect, options["timeout"].read) == (5.0, 60.0)


@pytest.mark.parametrize(
    ("error", "how"),
    [
        (httpx.ConnectError("refused"), "connection"),
        (httpx.ConnectTimeout(""), "connection"),
        (httpx.ReadError(""), "connection"),
        (httpx.RemoteProtocolError("hung up"), "connection"),
        (httpx.ReadTimeout(""), "timeout"),
        (httpx.WriteTimeout(""), "timeout"),
        (httpx.PoolTimeout(""), "timeout"),
        (httpx.DecodingError("gzip"), "undecodable"),
    ],
)
def test_kind_of_each_httpx_error(error: httpx.HTTPError, how: Any) -> None:
    assert transport.failure(error) == Failure(how, str(error) or type(error).__name__)


@pytest.mark.parametrize(("header", "seconds"), [("3", 3.0), ("soon", None), ("-1", None), (None, None)])
def test_retry_after_header_is_parsed(header: str | None, seconds: float | None) -> None:
    response = httpx.Response(503, content=b"x", headers={"Retry-After": header} if header else {})
    assert transport.response(response) == Response(503, b"x", "Service Unavailable", seconds)
