"""Raw HTTP/1.1 on one connection: any bytes as requests, several at a time, and the responses one by one."""

import socket
from dataclasses import dataclass
from typing import IO

SECONDS = 60.0  # to wait for the next bytes of a response


@dataclass(frozen=True)
class Response:
    """A response.

    Attributes:
      type: content type.
      closes: whether the server announces that it closes the connection.
    """

    status: int
    type: str
    body: bytes
    closes: bool


class Connection:
    """A connection to the server of this machine; a context manager."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self._file: IO[bytes] = self.socket.makefile("rb")

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def read(self, method: str = "GET") -> Response | None:
        """Read the response to a request with this method; None if the server has closed the connection.

        Raises:
          ValueError: the bytes are not a complete response.
          TimeoutError: they do not arrive in time.
          ConnectionError: the server breaks the connection.
        """
        line = self._file.readline(65_536)
        if not line:
            return None
        parts = line.split(None, 2)
        if len(parts) < 2 or not line.startswith(b"HTTP/1.1 ") or not parts[1].isdigit():
            raise ValueError(f"no status line: {line[:100]!r}")
        headers = dict(self._headers())
        status = int(parts[1])
        if status < 200:  # an interim response: "100 Continue"
            return self.read(method)
        closes = headers.get(b"connection", b"").lower() == b"close"
        kind = headers.get(b"content-type", b"").decode("latin-1")
        if method == "HEAD" or status in (204, 304):
            return Response(status, kind, b"", closes)
        size = int(headers[b"content-length"]) if b"content-length" in headers else -1
        body = self._file.read(size)
        if len(body) < size:
            raise ValueError(f"the body ends after {len(body)} of {size} bytes")
        return Response(status, kind, body, closes)

    def _headers(self) -> list[tuple[bytes, bytes]]:
        found = []
        while line := self._file.readline(65_536).strip():
            name, _, value = line.partition(b":")
            found.append((name.lower(), value.strip()))
        return found


def request(method: str, target: str, body: bytes = b"", headers: tuple[tuple[str, str], ...] = ()) -> bytes:
    """Return the bytes of a request, with the length of its body unless a header gives it."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost"]
    names = {name.lower() for name, _ in headers}
    if (body or method in ("POST", "PUT", "PATCH")) and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


def chunked(body: bytes, sizes: list[int]) -> bytes:
    """Return a body in chunks of these sizes, the last one with what is left."""
    parts, start = [], 0
    for size in [*sizes, len(body)]:
        if part := body[start : start + size]:
            parts.append(b"%x\r\n%s\r\n" % (len(part), part))
        start += size
    return b"".join(parts) + b"0\r\n\r\n"
