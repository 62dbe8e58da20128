"""The playground's ASGI application: the files of the page, `/about`, `/card` and the routes of the model."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from serving.access.keys import Keys
from serving.access.require_key import RequireKey
from serving.client.status import HttpOptions
from serving.playground.about import About, read_card
from serving.playground.guard import Guard
from serving.playground.relay import Relay, Upstream

PAGE = Path(__file__).with_name("page")


def application(
    server_url: str,
    model: str,
    registry: str | None = None,
    *,
    timeout: float = 120.0,
    names: Collection[str] = (),
    keys: Keys | None = None,
    http: HttpOptions | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Starlette:
    """Return the application for uvicorn or a test client.

    Args:
      server_url: of the model server, for example `http://127.0.0.1:8501`.
      model: its name on that server.
      registry: directory of the model's registry; None: versions are shown without their figures.
      timeout: seconds that one response of the model server may take.
      names: accepted host names, in addition to IP addresses and localhost.
      keys: of which every request of a browser needs one; None: no request needs a key.
      http: API key and certificate of the model server, if it needs them; no browser gets them.
      transport: replaces the network in tests.
    """
    # The proxies of the environment are for external hosts; the model server is internal.
    client = httpx.AsyncClient(trust_env=False, transport=transport, **(http or {}))
    upstream = Upstream(server_url.rstrip("/"), model, timeout, client)
    about = About(upstream, registry)

    async def describe(_: Request) -> Response:
        return JSONResponse(await about.describe(), headers={"cache-control": "no-store"})

    async def card(request: Request) -> Response:
        version: int = request.path_params["version"]
        found = await asyncio.to_thread(read_card, registry, version) if registry else None
        missing = f"Version {version} has no model card: it was deleted, or an earlier release pushed it."
        return PlainTextResponse(found or missing, 200 if found else 404)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    return Starlette(
        routes=[
            Route("/about", describe),
            Route("/card/{version:int}", card),
            Route("/v1/{rest:path}", Relay(upstream).endpoint, methods=["GET", "POST"]),
            Mount("/", StaticFiles(directory=PAGE, html=True)),
        ],
        middleware=[Middleware(Guard, names=names), *([Middleware(RequireKey, keys=keys)] if keys else [])],
        lifespan=lifespan,
    )
