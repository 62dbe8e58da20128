"""Pass the page's requests on to the model server: this model's routes only, within limits, and no others.

The page and the API so have one origin, and no model server needs to allow other ones (CORS).
"""

import asyncio
import re
from dataclasses import dataclass
from urllib.parse import unquote

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

MAX_REQUEST_BYTES = 4 * 1024 * 1024  # a dozen texts of 100,000 characters, or the states of some hundred rows
MAX_ANSWER_BYTES = 64 * 1024 * 1024
_ROUTE = re.compile(
    r"/v1/models/(?P<model>[^/:]+)(?P<which>/versions/[0-9]{1,19}|/labels/[A-Za-z0-9_-]{1,100})?"
    r"(?P<verb>:predict|/metadata)?"
)
_VERBS = {"POST": (":predict",), "GET": (None, "/metadata")}


class UpstreamError(Exception):
    """The model server gave no usable answer.

    Attributes:
      status: HTTP status to answer with.
      message: what happened and what to do, in words.
    """

    def __init__(self, status: int, message: str) -> None:
        """Keep status and message."""
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True)
class Upstream:
    """The model server as the playground sees it.

    Attributes:
      url: of the server, without a slash at its end.
      model: name in its routes.
      timeout: seconds that one answer may take.
      client: keeps the connections; its own timeouts are not used.
    """

    url: str
    model: str
    timeout: float
    client: httpx.AsyncClient

    async def ask(self, method: str, rest: str = "", body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of an answer; `rest` follows the model's name in the path.

        Raises:
          UpstreamError: there is no answer, or one that is too large.
        """
        url = f"{self.url}/v1/models/{self.model}{rest}"
        try:
            return await asyncio.wait_for(self._exchange(method, url, body), self.timeout)
        except (asyncio.TimeoutError, httpx.TimeoutException) as error:
            raise UpstreamError(
                504, f"The model server at {self.url} did not answer within {self.timeout:g} s. Ask for less at a time."
            ) from error
        except httpx.ConnectError as error:
            raise UpstreamError(
                502,
                f"The model server at {self.url} cannot be reached. Is it running? `python -m serving up` starts it.",
            ) from error
        except httpx.HTTPError as error:
            raise UpstreamError(502, f"The model server at {self.url} broke off in the middle of an answer.") from error

    async def _exchange(self, method: str, url: str, body: bytes) -> tuple[int, bytes]:
        headers = {"content-type": "application/json"} if method == "POST" else {}
        parts: list[bytes] = []
        size = 0
        async with self.client.stream(method, url, content=body or None, headers=headers, timeout=None) as answer:
            async for part in answer.aiter_bytes():
                size += len(part)
                if size > MAX_ANSWER_BYTES:
                    raise UpstreamError(502, f"The model server's answer is larger than {MAX_ANSWER_BYTES} bytes.")
                parts.append(part)
            return answer.status_code, b"".join(parts)


class Relay:
    """The endpoint of `/v1/...`."""

    def __init__(self, upstream: Upstream) -> None:
        """Pass on to this server."""
        self._upstream = upstream

    async def endpoint(self, request: Request) -> Response:
        """Answer as the model server does, or say in words why there is no answer."""
        path = request.scope.get("raw_path", request.url.path.encode()).decode("latin-1")
        found = _ROUTE.fullmatch(path)
        allowed = found is not None and not request.scope["query_string"]
        if not found or not allowed or unquote(found["model"]) != self._upstream.model:
            return JSONResponse({"error": "The playground passes on requests to its own model only."}, 404)
        if found["verb"] not in _VERBS.get(request.method, ()):
            return JSONResponse({"error": f"Not a route of a model: {request.method} {path[:200]}"}, 405)
        try:
            body = await _limited_body(request)
            status, answer = await self._while_wanted(
                request, request.method, (found["which"] or "") + (found["verb"] or ""), body
            )
        except UpstreamError as error:
            return JSONResponse({"error": error.message}, error.status)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        return Response(answer, status, media_type="application/json")

    async def _while_wanted(self, request: Request, method: str, rest: str, body: bytes) -> tuple[int, bytes]:
        """Ask, but let go of the model server as soon as the browser does: Stop shall stop the work."""
        asked = asyncio.ensure_future(self._upstream.ask(method, rest, body))
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait((asked, gone), return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                raise ClientDisconnect
            return asked.result()
        finally:
            asked.cancel()
            gone.cancel()


async def _limited_body(request: Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_REQUEST_BYTES:
            raise UpstreamError(413, f"The request is larger than {MAX_REQUEST_BYTES} bytes. Use a shorter text.")
        parts.append(part)
    return b"".join(parts)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
