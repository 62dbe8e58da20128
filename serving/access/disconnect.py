"""Work for a request that ends when its client disconnects."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

T = TypeVar("T")


async def until_disconnect(request: Request, work: Coroutine[Any, Any, T], seconds: float | None = None) -> T:
    """Return the result of `work`, which is canceled after `seconds` or when the client disconnects.

    Raises:
      ClientDisconnect: the client has disconnected.
      asyncio.TimeoutError: the work was not done in time.

    Example: `test_work_ends_with_its_client_or_in_time` in tests/serving/access/test_disconnect.py.
    """
    task, disconnected = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(request))
    try:
        done, _ = await asyncio.wait((task, disconnected), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task in done:
            return task.result()
        if disconnected in done:
            raise ClientDisconnect
        raise asyncio.TimeoutError
    finally:
        task.cancel()
        disconnected.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
