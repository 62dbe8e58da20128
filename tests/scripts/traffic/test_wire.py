import http.client
import io
from typing import Any

import pytest

from scripts.traffic import wire


class Received:
    """A socket from which these bytes arrive."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)

    def close(self) -> None:
        pass


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Any:
    def connect(data: bytes) -> wire.Connection:
        monkeypatch.setattr(wire.socket, "create_connection", lambda *_, **__: Received(data))
        return wire.Connection(1)

    return connect


def test_responses_are_read_one_after_another(received: Any) -> None:
    connection = received(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 7\r\n\r\nHTTP/1.1 400 Bad\r\nconnection: close\r\n\r\nto the end"
    )
    assert connection.read("POST") == wire.Response(200, "application/json", b"{}", closes=False)
    assert connection.read("HEAD") == wire.Response(404, "", b"", closes=False)
    assert connection.read() == wire.Response(400, "", b"to the end", closes=True)
    assert connection.read() is None


@pytest.mark.parametrize(
    "data", [b"garbage\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"]
)
def test_other_bytes_are_an_error(received: Any, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"no status line|the body ends after 5 of 9 bytes"):
        received(data).read()


def test_request_has_the_length_of_its_body_unless_a_header_gives_it() -> None:
    assert wire.request("POST", "/a?b", b"xy", (("X", "1"),)).endswith(b"\r\nContent-Length: 2\r\nX: 1\r\n\r\nxy")
    assert b"Content-Length" not in wire.request("POST", "/", b"", (("Transfer-Encoding", "chunked"),))
    assert b"Content-Length: 0" in wire.request("PUT", "/")
    assert b"Content-Length" not in wire.request("GET", "/")


@pytest.mark.parametrize("sizes", [[], [1], [1, 2, 100]])
def test_chunks_join_to_the_body(sizes: list[int]) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    response = http.client.HTTPResponse(Received(head + wire.chunked(b"0123456789", sizes)))  # type: ignore[arg-type]
    response.begin()
    assert response.read() == b"0123456789"
