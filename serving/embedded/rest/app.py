"""The HTTP side: raw path and body in, contract's answer out; an ASGI application."""

import asyncio
import contextlib
import logging
import re
import time
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from serving.embedded import statuses
from serving.embedded.metrics import Metrics
from serving.embedded.models.catalogue import Catalogue
from serving.embedded.rest import api
from serving.embedded.rest.routes import Route, is_api, route
from serving.embedded.statuses import Refusal
from serving.tf_serving.flags import METRICS_PATH

_log = logging.getLogger(__name__)
_ASIDE = ("status", "metadata")  # answered from memory: probes and labels must not depend on how much is asked
_APIS = {"predict": "Predict", "classify": "Classify", "regress": "Regress", "metadata": "GetModelMetadata"}
_GZIP = 31  # zlib's window size that stands for a gzip header
_LARGE = 100_000  # bytes; more is not unpacked in the event loop
_BODIES = 16  # of the largest size may be on their way in at the same time
_JSON = {"content-type": "application/json"}
_PAGE = (
    "<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n"
    "<P>The requested URL {path} was not found on this server.</P></BODY></HTML>\n"
)
_BAD_PAGE = (
    "<HTML><HEAD>\n<TITLE>400 Bad Request</TITLE>\n</HEAD><BODY>\n<H1>Bad Request</H1>\n"
    "<P>The request's path cannot be read.</P></BODY></HTML>\n"
)
_BROKEN_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True)
class Limits:
    """What one server takes on.

    Attributes:
      timeout_seconds: a request that takes longer is given up.
      body_bytes: largest body, after decompression as well.
      requests: answered at the same time; status and metadata are not among them.
      cross_origin: whether pages of other origins may ask.
      metrics_path: of Prometheus' metrics; None: none.
    """

    timeout_seconds: float
    body_bytes: int
    requests: int
    cross_origin: bool = False
    metrics_path: str | None = METRICS_PATH


class Server:
    """The ASGI application of one catalogue."""

    def __init__(self, catalogue: Catalogue, metrics: Metrics, limits: Limits) -> None:
        """Everything goes to one handler, for routes are matched on the raw path."""
        self._catalogue, self._metrics, self._limits = catalogue, metrics, limits
        self._busy = 0
        self._arriving = 0  # bytes of bodies that are not whole yet

    def application(self) -> Router:
        """For uvicorn or a test client; loads models on startup, unloads them on shutdown."""

        @contextlib.asynccontextmanager
        async def lifespan(_: Router) -> AsyncIterator[None]:
            await asyncio.to_thread(self._catalogue.start)
            yield
            await asyncio.to_thread(self._catalogue.close)

        return Router(default=self._handle, lifespan=lifespan)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        path = _target(request.scope)
        if path == self._limits.metrics_path and request.method == "GET":
            return Response(self._metrics.text(), media_type="text/plain")
        if _BROKEN_ESCAPE.search(path):
            return Response(_BAD_PAGE, 400, media_type="text/html")
        if not is_api(path):
            return Response(_PAGE.format(path=_plain(path)), 404, media_type="text/html")
        headers = dict(_JSON)
        if self._limits.cross_origin:
            headers |= {
                "access-control-allow-origin": "*",
                "access-control-allow-methods": "POST, GET",
                "access-control-allow-headers": "Content-Type",
            }
        if request.method == "OPTIONS":
            allowed = request.headers.get("origin", "").startswith(("http://", "https://"))
            return Response(status_code=200 if allowed else 400, headers=headers)
        try:
            text = await self._answer(request, path)
        except Refusal as refusal:
            return Response(statuses.body(refusal.message), refusal.http, headers)
        return Response(text, 200, headers)

    async def _answer(self, request: Request, path: str) -> bytes:
        started = time.perf_counter()
        wanted, code = None, "INTERNAL"
        try:
            wanted = route(request.method, path)
            if wanted.action in _ASIDE:
                text = await api.answer(self._catalogue, wanted, b"")
            else:
                text = await self._in_turn(request, wanted, started)
            code = "OK"
            return text
        except Refusal as refusal:
            code = refusal.code
            raise
        except ClientDisconnect:
            code = "CANCELLED"
            raise
        except Exception as error:
            _log.exception("A request failed in a way that was not foreseen")
            raise Refusal("INTERNAL", f"{type(error).__name__}: {error}") from error
        finally:
            if wanted is not None and wanted.action in _APIS:
                seconds = time.perf_counter() - started
                # A counter for every name that somebody makes up would fill the memory.
                model = wanted.model if self._catalogue.knows(wanted.model) else ""
                self._metrics.request(model, _APIS[wanted.action], code, seconds)

    async def _in_turn(self, request: Request, wanted: Route, started: float) -> bytes:
        """The answer, if there is a place for the request both before and after its body has come."""
        self._check_busy()
        body = await self._body(request)
        self._check_busy()
        self._busy += 1
        try:
            left = self._limits.timeout_seconds - (time.perf_counter() - started)
            return await self._within_limits(request, wanted, body, left)
        finally:
            self._busy -= 1

    def _check_busy(self) -> None:
        if self._busy >= self._limits.requests:
            raise Refusal("UNAVAILABLE", f"The server is answering {self._busy} requests already; try again")

    async def _within_limits(self, request: Request, wanted: Route, body: bytes, seconds: float) -> bytes:
        """The answer, unless it takes too long or nobody waits for it any more."""
        work = asyncio.ensure_future(api.answer(self._catalogue, wanted, body))
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            done, _ = await asyncio.wait((work, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if work in done:
                return work.result()
            if gone in done:
                raise ClientDisconnect
            raise self._too_late()
        finally:
            work.cancel()
            gone.cancel()

    async def _body(self, request: Request) -> bytes:
        """The unpacked body. A slow client takes none of the places for requests, but has no more time than others."""
        try:
            body = await asyncio.wait_for(self._received(request), self._limits.timeout_seconds)
        except asyncio.TimeoutError:
            raise self._too_late() from None
        if "gzip" not in request.headers.get("content-encoding", ""):
            return body
        if len(body) > _LARGE:
            return await asyncio.to_thread(self._unpacked, body)
        return self._unpacked(body)

    async def _received(self, request: Request) -> bytes:
        parts: list[bytes] = []
        size = 0
        try:
            async for part in request.stream():
                size += len(part)
                self._arriving += len(part)
                if size > self._limits.body_bytes:
                    raise self._too_large()
                if self._arriving > _BODIES * self._limits.body_bytes:
                    raise Refusal("UNAVAILABLE", "Too many large requests are on their way in; try again")
                parts.append(part)
        finally:
            self._arriving -= size
        return b"".join(parts)

    def _unpacked(self, body: bytes) -> bytes:
        try:
            body = zlib.decompressobj(_GZIP).decompress(body, self._limits.body_bytes + 1)
        except zlib.error as error:
            raise statuses.invalid(f"Failed to decompress the gzip body: {error}") from error
        if len(body) > self._limits.body_bytes:
            raise self._too_large()
        return body

    def _too_large(self) -> Refusal:
        return Refusal("PAYLOAD_TOO_LARGE", f"The request is larger than {self._limits.body_bytes} bytes")

    def _too_late(self) -> Refusal:
        return Refusal("DEADLINE_EXCEEDED", f"No answer within {self._limits.timeout_seconds:g} s")


def _target(scope: Scope) -> str:
    """Path and query as they came."""
    target: bytes = scope.get("raw_target", b"")
    if not target.startswith(b"/"):
        target = scope.get("raw_path", scope["path"].encode()) + (b"?" if scope["query_string"] else b"")
        target += scope["query_string"]
    return target.decode("latin-1")


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _plain(path: str) -> str:
    return path.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
