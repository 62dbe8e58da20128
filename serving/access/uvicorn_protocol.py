"""HTTP/1.1 for uvicorn whose TLS connections close in a bounded time."""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CLOSE_SECONDS = 1.0


class ClosingProtocol(HttpToolsProtocol):
    """One connection.

    A closed TLS connection waits for the client's own close. Python 3.10 waits forever, later versions for 30 seconds,
    and the server could not stop while an idle client, which reads nothing, keeps a connection.

    Example: `test_an_idle_client_does_not_keep_the_server` in tests/serving/access/test_over_tls.py.
    """

    _close: Callable[[], None] | None = None  # of the transport
    _abort_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Bound the time that closing takes."""
        if transport.get_extra_info("sslcontext") is not None:
            self._close = transport.close
            transport.close = self._close_in_time
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        super().connection_lost(exc)

    def _close_in_time(self) -> None:
        if self._close is not None and self._abort_timer is None:
            self._close()
            self._abort_timer = self.loop.call_later(CLOSE_SECONDS, self._abort_when_sent)

    def _abort_when_sent(self) -> None:
        """Abort, but not before a client on a slow line has received the last response."""
        if self.transport.get_write_buffer_size():
            self._abort_timer = self.loop.call_later(CLOSE_SECONDS, self._abort_when_sent)
        else:
            self.transport.abort()
