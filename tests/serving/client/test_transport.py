"""Addresses, timeouts and the classes of httpx's errors; test_blocking.py uses a real connection."""

import asyncio
import contextlib
import doctest
import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.client import AsyncClient, Client, NotReachable, ServerError, transport
from serving.client.responses import Failure, Response
from tests import bucket_server

GOOD: dict[str, Any] = {"url": "http://x", "model": "m", "version": None, "label": None, "retries": 1}


STATUS = {"model_version_status": [{"version": "3", "state": "AVAILABLE"}]}


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
        (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate"), "certificate"),
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


class Recorder(httpx.MockTransport):
    """Answers every request with a status, and keeps the requests."""

    def __init__(self, code: int = 200) -> None:
        self.requests: list[httpx.Request] = []
        super().__init__(lambda request: self.requests.append(request) or httpx.Response(code, json=STATUS))


class Token(httpx.Auth):
    def auth_flow(self, request: httpx.Request) -> Any:
        request.headers["Authorization"] = "Bearer new"
        yield request


def signed(request: httpx.Request) -> httpx.Request:
    request.headers["Authorization"] = "Bearer signed"
    return request


BASIC = "Basic bWU6YUBiL2M="  # me:a@b/c


@pytest.mark.parametrize(
    ("url", "how", "authorization"),
    [
        ("http://x", {}, None),
        ("http://x", {"auth": ("me", "a@b/c")}, BASIC),
        ("http://x", {"auth": Token()}, "Bearer new"),
        ("http://x", {"auth": signed}, "Bearer signed"),
        ("http://x", {"headers": {"Authorization": "Bearer mine"}}, "Bearer mine"),
        ("http://me:a%40b%2Fc@x", {}, BASIC),
        ("http://other:person@x", {"auth": ("me", "a@b/c")}, BASIC),
    ],
)
def test_requests_are_authenticated(url: str, how: dict[str, Any], authorization: str | None) -> None:
    async def asynchronously(recorder: Recorder) -> None:
        async with AsyncClient(url, transport=recorder, **how) as client:
            await client.status()

    recorder = Recorder()
    with Client(url, transport=recorder, **how) as client:
        client.status()
    asyncio.run(asynchronously(recorder))
    assert [request.headers.get("Authorization") for request in recorder.requests] == [authorization] * 2


@pytest.mark.parametrize("url", ["http://me:secret@x", "http://me:sec@ret@x/inner", "http://me:secret@x?query"])
def test_password_in_the_url_is_not_in_messages(url: str) -> None:
    with pytest.raises((ServerError, ValueError)) as caught, Client(url, transport=Recorder(500)) as client:
        client.status()
    assert "http://x" in str(caught.value)
    assert "ret" not in str(caught.value)


@pytest.mark.parametrize("value", ["Bearer secret\n", "Bearer\r\nsecret", " secret", "Bearer sécret"])
def test_header_that_cannot_be_sent_is_an_error_without_its_value(value: str) -> None:
    with pytest.raises(ValueError, match="header Authorization") as caught:
        Client("http://x", headers={"Authorization": value})
    assert "cret" not in str(caught.value)


@pytest.fixture
def certified(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server with its own certificate; its URL, and the file of the certificate."""
    bucket_server.certify(tmp_path, ["localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError), context.wrap_socket(self.request, server_side=True) as connection:
                connection.recv(10_000)
                body = json.dumps(STATUS).encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"https://localhost:{server.server_address[1]}", tmp_path / "certificate.pem"
        server.shutdown()
        thread.join()


@pytest.mark.integration
def test_certificate_is_verified_by_the_given_context(certified: tuple[str, Path]) -> None:
    url, certificate = certified
    with pytest.raises(NotReachable, match="certificate is not trusted"), Client(url) as client:
        client.status()
    for verify in (ssl.create_default_context(cafile=certificate), False):
        with Client(url, verify=verify) as client:
            assert client.status()[0].version == 3


@pytest.mark.filterwarnings("ignore:.verify=<str>:DeprecationWarning")
def test_certificate_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file|invalid path"):  # of httpx 0.28, of httpx 0.27
        Client("https://x", verify=str(tmp_path / "none.pem"))


def test_example() -> None:
    result = doctest.testmod(transport, extraglobs={"Client": Client})
    assert result.failed == 0 < result.attempted
