"""Work for a request: it ends with its client, in time, or with its own result."""

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from serving.access.disconnect import until_disconnect


def outcome(messages: list[str], works: bool, seconds: float | None) -> tuple[Any, bool]:
    """The result or the class of the error, and whether the work was canceled."""
    canceled = False

    async def receive() -> dict[str, str]:
        if not messages:
            await asyncio.Event().wait()
        return {"type": messages.pop(0)}

    async def work() -> str:
        nonlocal canceled
        try:
            await (asyncio.sleep(0) if works else asyncio.Event().wait())
        except asyncio.CancelledError:
            canceled = True
            raise
        return "done"

    async def run() -> Any:
        try:
            return await until_disconnect(Request({"type": "http"}, receive), work(), seconds)
        except Exception as error:
            await asyncio.sleep(0)  # the work receives its cancellation
            return type(error)

    return asyncio.run(run()), canceled


@pytest.mark.parametrize(
    ("messages", "works", "seconds", "expected"),
    [
        ([], True, None, ("done", False)),
        (["http.request"], True, 60.0, ("done", False)),
        (["http.request", "http.disconnect"], False, None, (ClientDisconnect, True)),
        ([], False, 0.01, (asyncio.TimeoutError, True)),
    ],
)
def test_work_ends_with_its_client_or_in_time(
    messages: list[str], works: bool, seconds: float | None, expected: tuple[Any, bool]
) -> None:
    assert outcome(messages, works, seconds) == expected
