"""Bodies of requests: received and decompressed within limits of size, time and memory."""

import asyncio
import zlib

from starlette.requests import Request

from serving.embedded.statuses import RequestError, deadline_exceeded, invalid

_GZIP = 31  # zlib's window size for a gzip header
_LARGE = 100_000  # bytes; larger bodies are decompressed in a thread, so that they do not block the event loop
_MAX_ARRIVING = 16  # bodies of the largest size that may arrive at the same time


class BodyReader:
    """Reads the bodies of all requests of one server.

    Example: `test_a_body_larger_than_the_limit_is_rejected` in tests/serving/embedded/rest/test_body.py.
    """

    def __init__(self, max_bytes: int, timeout_seconds: float) -> None:
        """Store the limits of one body; `max_bytes` applies before and after decompression."""
        self._max_bytes, self._timeout_seconds = max_bytes, timeout_seconds
        self._arriving = 0  # bytes of incomplete bodies

    async def read(self, request: Request) -> bytes:
        """Return the decompressed body of a request.

        Raises:
          RequestError: the body is too large, takes too long or is not in gzip format, or too many bodies are arriving.
          ClientDisconnect: the client closed the connection.
        """
        try:
            body = await asyncio.wait_for(self._receive(request), self._timeout_seconds)
        except asyncio.TimeoutError:
            raise deadline_exceeded(self._timeout_seconds) from None
        if "gzip" not in request.headers.get("content-encoding", ""):
            return body
        if len(body) > _LARGE:
            return await asyncio.to_thread(self._decompress, body)
        return self._decompress(body)

    async def _receive(self, request: Request) -> bytes:
        parts: list[bytes] = []
        size = 0
        try:
            async for part in request.stream():
                size += len(part)
                self._arriving += len(part)
                if size > self._max_bytes:
                    raise self._too_large()
                if self._arriving > _MAX_ARRIVING * self._max_bytes:
                    raise RequestError("UNAVAILABLE", "Too many large requests are arriving; try again")
                parts.append(part)
        finally:
            self._arriving -= size
        return b"".join(parts)

    def _decompress(self, body: bytes) -> bytes:
        try:
            body = zlib.decompressobj(_GZIP).decompress(body, self._max_bytes + 1)
        except zlib.error as error:
            raise invalid(f"Failed to decompress the gzip body: {error}") from error
        if len(body) > self._max_bytes:
            raise self._too_large()
        return body

    def _too_large(self) -> RequestError:
        return RequestError("PAYLOAD_TOO_LARGE", f"The request is larger than {self._max_bytes} bytes")
