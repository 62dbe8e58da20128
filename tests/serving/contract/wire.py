"""A client that sends the given bytes unchanged: paths are not normalized and headers are not checked."""

import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Response:
    """A response.

    Attributes:
      headers: names in lower case.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body parsed; `NaN` and `Infinity` are numbers, as TF Serving writes them."""
        return json.loads(self.body)

    def text(self) -> str:
        """The body as text for substring checks; a byte that is not UTF-8 does not hide the rest."""
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True)
class Server:
    """Address of the server under test."""

    host: str
    port: int
    pid: int | None = None  # None: an external server

    def connect(self) -> socket.socket:
        """A new connection with a timeout."""
        return socket.create_connection((self.host, self.port), timeout=TIMEOUT_SECONDS)

    def exchange(self, request: bytes) -> Response:
        """Send the bytes on a new connection and read one response.

        Raises:
          OSError, http.client.HTTPException: no whole response within the time limit.
        """
        with self.connect() as connection:
            try:
                connection.sendall(request)
            except (BrokenPipeError, ConnectionResetError):
                pass  # a server may respond and close before it has read the complete request
            return read(connection, head=request.startswith(b"HEAD "))

    def send(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Response:
        """Send a request with the headers that all clients send, and `headers` in addition."""
        return self.exchange(request(self, method, target, body, headers))


def request(
    server: Server, method: str, target: str, body: bytes = b"", headers: tuple[tuple[str, str], ...] = ()
) -> bytes:
    """The bytes of a request, with a Content-Length if it has a body or the method usually has one."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {server.host}:{server.port}"]
    names = {name.lower() for name, _ in headers}
    if (body or method in ("POST", "PUT", "PATCH")) and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def read(connection: socket.socket, head: bool = False) -> Response:
    """Read one response from the connection."""
    answer = http.client.HTTPResponse(connection, method="HEAD" if head else "POST")
    try:
        answer.begin()
        body = answer.read()
        return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, body)
    finally:
        answer.close()


def parse_url(url: str) -> Server:
    """The server at `http://host:port`.

    Raises:
      ValueError: not such a URL.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError(f"--serving-url takes http://HOST:PORT. Received: {url!r}")
    return Server(parts.hostname, parts.port or 80)
