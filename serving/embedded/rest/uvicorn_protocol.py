"""HTTP/1.1 for uvicorn with limits on the size and the duration of a request's headers."""

import asyncio
import os
from collections.abc import Callable
from types import FrameType
from typing import Any, cast

import uvicorn

from serving.access.uvicorn_protocol import ClosingProtocol

_MAX_HEAD_BYTES = 64 * 1024  # request line and headers
_MAX_HEAD_SECONDS = 30.0  # from the first byte of a request, or from connecting, to the end of its headers
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Protocol(ClosingProtocol):
    """One connection. Example: `test_endless_headers_close_the_connection` in tests/serving/embedded/test_main.py."""

    _timer: asyncio.TimerHandle | None = None
    _head_bytes = 0  # received so far of an incomplete head
    _in_head = False

    def connection_made(self, transport: Any) -> None:
        """Start the timer of the first request's headers."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data; close the connection if the headers are incomplete and too large."""
        super().data_received(data)
        if not self._in_head:
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > _MAX_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Start the timer at the first byte of a request."""
        super().on_message_begin()
        self._in_head = True
        self._start_timer()

    def on_headers_complete(self) -> None:
        """Stop the timer at the end of the headers."""
        self._in_head = False
        self._stop_timer()
        cast("dict[str, Any]", self.scope)["raw_target"] = self.url  # ASGI does not distinguish `/path?` from `/path`
        super().on_headers_complete()

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(_MAX_HEAD_SECONDS, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Server(uvicorn.Server):
    """uvicorn's server with a hook on SIGTERM and SIGINT.

    Example: `test_sigterm_during_startup` in tests/serving/embedded/test_main.py.
    """

    def __init__(self, config: uvicorn.Config, on_exit: Callable[[], None]) -> None:
        """Store the function that a signal calls before the requests in progress are finished."""
        super().__init__(config)
        self._on_exit = on_exit

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle SIGTERM and SIGINT."""
        if not self.started:
            os._exit(0)  # no request has been accepted, and the loading of a version cannot be interrupted
        self._on_exit()
        super().handle_exit(sig, frame)
