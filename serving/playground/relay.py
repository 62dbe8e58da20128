"""Forwarding of the page's requests to the model server: only this model's routes, within limits.

Page and API have one origin, so no model server has to allow other origins (CORS).
"""

import asyncio
import re
from dataclasses import dataclass
from urllib.parse import unquote

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from serving.access.disconnect import until_disconnect

MAX_REQUEST_BYTES = 4 * 1024 * 1024  # a dozen texts of 100,000 characters, or the states of some hundred rows
MAX_RESPONSE_BYTES = 64 * 1024 * 1024
_ROUTE = re.compile(
    r"/v1/models/(?P<model>[^/:]+)(?P<which>/versions/[0-9]{1,19}|/labels/[A-Za-z0-9_-]{1,100})?"
    r"(?P<verb>:predict|/metadata)?"
)
_VERBS = {"POST": (":predict",), "GET": (None, "/metadata")}


class UpstreamError(Exception):
    """No usable response of the model server.

    Example: `test_a_server_that_does_not_respond_is_reported` in tests/serving/playground/test_relay.py.

    Attributes:
      status: HTTP status of the playground's response.
      message: what happened and what the user can do.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True)
class Upstream:
    """The model server. Example: `test_the_servers_errors_are_forwarded` in tests/serving/playground/test_relay.py.

    Attributes:
      url: without a trailing slash.
      model: name in its routes.
      timeout: seconds that one response may take.
      client: holds the connections; its timeouts are not used.
    """

    url: str
    model: str
    timeout: float
    client: httpx.AsyncClient

    async def request(self, method: str, rest: str = "", body: bytes = b"") -> tuple[int, bytes]:
        """Send a request and return status and body; `rest` follows the model's name in the path.

        Raises:
          UpstreamError: there is no response, or it is too large.
        """
        url = f"{self.url}/v1/models/{self.model}{rest}"
        try:
            return await asyncio.wait_for(self._send(method, url, body), self.timeout)
        except (asyncio.TimeoutError, httpx.TimeoutException) as error:
            raise UpstreamError(
                504,
                f"The model server at {self.url} did not respond within {self.timeout:g} s. Request less at a time.",
            ) from error
        except httpx.ConnectError as error:
            raise UpstreamError(
                502,
                f"The model server at {self.url} cannot be reached. Is it running? `python -m serving up` starts it.",
            ) from error
        except httpx.HTTPError as error:
            raise UpstreamError(502, f"The model server at {self.url} closed the connection early.") from error

    async def _send(self, method: str, url: str, body: bytes) -> tuple[int, bytes]:
        headers = {"content-type": "application/json"} if method == "POST" else {}
        parts: list[bytes] = []
        size = 0
        async with self.client.stream(method, url, content=body or None, headers=headers, timeout=None) as response:
            async for part in response.aiter_bytes():
                size += len(part)
                if size > MAX_RESPONSE_BYTES:
                    raise UpstreamError(502, f"The model server's response is larger than {MAX_RESPONSE_BYTES} bytes.")
                parts.append(part)
            return response.status_code, b"".join(parts)


class Relay:
    """The endpoint of `/v1/...`.

    Example: `test_the_routes_of_the_model_are_forwarded_byte_for_byte` in tests/serving/playground/test_relay.py.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def endpoint(self, request: Request) -> Response:
        """Return the model server's response, or a readable error if there is none."""
        path = request.scope["raw_path"].decode("latin-1")
        found = _ROUTE.fullmatch(path)
        allowed = found is not None and not request.scope["query_string"]
        if not found or not allowed or unquote(found["model"]) != self._upstream.model:
            return JSONResponse({"error": "The playground forwards requests to its own model only."}, 404)
        if found["verb"] not in _VERBS.get(request.method, ()):
            return JSONResponse({"error": f"Not a route of a model: {request.method} {path[:200]}"}, 405)
        try:
            body = await _limited_body(request)
            work = self._upstream.request(request.method, (found["which"] or "") + (found["verb"] or ""), body)
            status, content = await until_disconnect(request, work)  # Stop also stops the model server
        except UpstreamError as error:
            return JSONResponse({"error": error.message}, error.status)
        except ClientDisconnect:
            return Response(status_code=499)  # the browser has disconnected and does not read it
        return Response(content, status, media_type="application/json")


async def _limited_body(request: Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_REQUEST_BYTES:
            raise UpstreamError(413, f"The request is larger than {MAX_REQUEST_BYTES} bytes. Use a shorter text.")
        parts.append(part)
    return b"".join(parts)
