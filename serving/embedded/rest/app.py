"""HTTP side of the embedded server: an ASGI application from raw path and body to TF Serving's response."""

import asyncio
import contextlib
import html
import http
import logging
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from serving.access.disconnect import until_disconnect
from serving.access.keys import Keys
from serving.access.require_key import RequireKey
from serving.embedded import statuses
from serving.embedded.metrics import Metrics
from serving.embedded.models.catalogue import Catalogue
from serving.embedded.request_log import Entry, RequestLog
from serving.embedded.rest import api
from serving.embedded.rest.body import BodyReader
from serving.embedded.rest.routes import Route, is_api, route
from serving.embedded.statuses import RequestError
from serving.tf_serving.flags import METRICS_PATH

_log = logging.getLogger(__name__)
_UNLIMITED = ("status", "metadata")  # answered from memory: probes and label changes must not depend on the load
_JSON = {"content-type": "application/json"}
_CROSS_ORIGIN = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "POST, GET",
    "access-control-allow-headers": "Content-Type",
}
_WITH_KEY = {"access-control-allow-headers": "Content-Type, Authorization"}
_PAGE = (
    "<HTML><HEAD>\n<TITLE>{status} {phrase}</TITLE>\n</HEAD><BODY>\n<H1>{phrase}</H1>\n<P>{text}</P></BODY></HTML>\n"
)
_METHODS = {"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"}  # others are not implemented
_NO_TYPE = {"content-type": "text/html; charset=ISO-8859-1"}  # the type of a response that sets none
_BROKEN_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True)
class ServerLimits:
    """Limits of one server.

    Attributes:
      timeout_seconds: a request that takes longer is answered with 504.
      body_bytes: largest body, before and after decompression.
      requests: number of requests answered at the same time; status and metadata do not count.
      cross_origin: whether pages of other origins may send requests (CORS).
      metrics_path: path of the Prometheus metrics; None: there are none.

    Example:
      >>> ServerLimits(timeout_seconds=30.0, body_bytes=8_000_000, requests=64).metrics_path
      '/monitoring/prometheus/metrics'
    """

    timeout_seconds: float
    body_bytes: int
    requests: int
    cross_origin: bool = False
    metrics_path: str | None = METRICS_PATH


class Server:
    """The ASGI application of one catalogue. Example: `test_the_routes` in tests/serving/embedded/rest/test_app.py."""

    def __init__(
        self,
        catalogue: Catalogue,
        metrics: Metrics,
        limits: ServerLimits,
        keys: Keys | None = None,
        log: RequestLog | None = None,
    ) -> None:
        """Serve the models of a catalogue and count the requests in `metrics`.

        Args:
          keys: of which every request needs one; None: no request needs a key.
          log: of requests for predictions; the server closes it.
        """
        self._catalogue, self._metrics, self._limits = catalogue, metrics, limits
        self._keys, self._log = keys, log
        self._cross_origin = {}
        if limits.cross_origin:
            self._cross_origin = _CROSS_ORIGIN | (_WITH_KEY if keys else {})
        self._bodies = BodyReader(limits.body_bytes, limits.timeout_seconds)
        self._active = 0  # requests being answered

    def application(self) -> Router:
        """Return the application for uvicorn or a test client; startup loads the models, shutdown unloads them."""

        @contextlib.asynccontextmanager
        async def lifespan(_: Router) -> AsyncIterator[None]:
            await asyncio.to_thread(self._catalogue.start)
            yield
            await asyncio.to_thread(self._catalogue.close)
            if self._log is not None:
                await asyncio.to_thread(self._log.close)

        # One handler: routes are matched on the raw path.
        handle = self._handle if self._keys is None else RequireKey(self._handle, self._keys, self._count_refusal)
        return Router(default=handle, lifespan=lifespan)

    def _count_refusal(self) -> None:
        self._metrics.count_request("", "", "UNAUTHENTICATED", 0.0)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        path = _raw_target(request.scope)
        if request.method not in _METHODS:
            return _page(501, "The request's method is not supported.")
        if path == self._limits.metrics_path and request.method == "GET":
            return Response(self._metrics.text(), media_type="text/plain")
        if _BROKEN_ESCAPE.search(path):
            return _page(400, "The request's path cannot be read.")
        if not is_api(path):
            shown = html.escape(path, quote=False)
            return _page(404, f"The requested URL {shown} was not found on this server.")
        if request.method == "OPTIONS":
            allowed = request.headers.get("origin", "").startswith(("http://", "https://"))
            return Response(status_code=200 if allowed else 400, headers=_NO_TYPE | self._cross_origin)
        headers = _JSON | self._cross_origin
        try:
            text = await self._answer(request, path)
        except RequestError as error:
            return Response(statuses.body(error.message), error.http, headers)
        return Response(text, 200, headers)

    async def _answer(self, request: Request, path: str) -> bytes:
        """Answer a request of the API and count it."""
        started = time.perf_counter()
        wanted, code, entry = None, "INTERNAL", None
        try:
            wanted = route(request.method, path)
            if self._log is not None and wanted.action not in _UNLIMITED:
                entry = self._log.entry()
                entry.model = wanted.model
            if wanted.action in _UNLIMITED:
                text = await api.answer(self._catalogue, wanted, b"")
            else:
                text = await self._answer_limited(request, wanted, started, entry)
            code = "OK"
            return text
        except RequestError as error:
            code = error.code
            raise
        except ClientDisconnect:
            code = "CANCELLED"
            raise
        except Exception as error:
            _log.exception("Unhandled exception while answering a request")
            raise statuses.internal(error) from error
        finally:
            # Bound label cardinality: unknown models share one counter.
            model = wanted.model if wanted is not None and self._catalogue.knows(wanted.model) else ""
            verb = wanted.action if wanted is not None and wanted.action not in _UNLIMITED else ""
            seconds = time.perf_counter() - started
            self._metrics.count_request(model, verb, code, seconds)
            if self._log is not None and entry is not None:
                self._log.write(entry, code, seconds)

    async def _answer_limited(self, request: Request, wanted: Route, started: float, entry: Entry | None) -> bytes:
        """Answer unless too many requests are active; a body that is still arriving does not count as one."""
        self._refuse_overload()
        body = await self._bodies.read(request)
        self._refuse_overload()
        self._active += 1
        try:
            left = self._limits.timeout_seconds - (time.perf_counter() - started)
            return await self._answer_in_time(request, wanted, body, left, entry)
        finally:
            self._active -= 1

    def _refuse_overload(self) -> None:
        if self._active >= self._limits.requests:
            raise RequestError("UNAVAILABLE", f"The server is already answering {self._active} requests; try again")

    async def _answer_in_time(
        self, request: Request, wanted: Route, body: bytes, seconds: float, entry: Entry | None
    ) -> bytes:
        """Answer, or cancel the work after `seconds` or when the client disconnects."""
        try:
            return await until_disconnect(request, api.answer(self._catalogue, wanted, body, entry), seconds)
        except asyncio.TimeoutError:
            raise statuses.deadline_exceeded(self._limits.timeout_seconds) from None


def _page(status: int, text: str) -> Response:
    """Return a page of the HTTP library."""
    content = _PAGE.format(status=status, phrase=http.HTTPStatus(status).phrase, text=text)
    return Response(content, status, media_type="text/html")


def _raw_target(scope: Scope) -> str:
    """Return path and query string as the client sent them."""
    target: bytes = scope.get("raw_target", b"")
    if not target.startswith(b"/"):
        target = scope.get("raw_path", scope["path"].encode()) + (b"?" if scope["query_string"] else b"")
        target += scope["query_string"]
    return target.decode("latin-1")
