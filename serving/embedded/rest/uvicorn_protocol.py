"""HTTP/1.1 for uvicorn, with bounds on what comes before a body: nobody may fill the memory or stay silent for ever."""

import asyncio
from collections.abc import Callable
from types import FrameType
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD_BYTES = 64 * 1024  # request line and headers
_HEAD_SECONDS = 30.0  # from the first byte of a request, or from connecting, to the end of its headers
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Protocol(HttpToolsProtocol):
    """One connection."""

    _timer: asyncio.TimerHandle | None = None
    _head = 0  # bytes of an unfinished head so far
    _in_head = False

    def connection_made(self, transport: Any) -> None:
        """Start the time for the first request's head."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; a head that is still not at its end and already too large ends the connection."""
        super().data_received(data)
        if not self._in_head:
            self._head = 0
            return
        self._head += len(data)
        if self._head > _HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._in_head = True
        self._start_timer()

    def on_headers_complete(self) -> None:
        """The end of a head."""
        self._in_head = False
        self._stop_timer()
        cast("dict[str, Any]", self.scope)["raw_target"] = self.url  # ASGI itself does not tell `/path?` from `/path`
        super().on_headers_complete()

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(_HEAD_SECONDS, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Server(uvicorn.Server):
    """Tells others, too, that the end is near."""

    def __init__(self, config: uvicorn.Config, ending: Callable[[], None]) -> None:
        """Keep what is called at SIGTERM or SIGINT, before the requests under way are finished."""
        super().__init__(config)
        self._ending = ending

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal has come."""
        self._ending()
        super().handle_exit(sig, frame)
