"""Bodies of requests, through the application of a server whose model is a stand-in."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable

import pytest

from serving.embedded.rest.app import ServerLimits
from tests.serving.embedded.held_back import BODY, Served, error, run

pytestmark = pytest.mark.integration


def test_a_body_that_takes_too_long_is_answered_with_504() -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield b'{"instances":'
        await asyncio.sleep(5)
        yield b"[]}"

    async def test(served: Served) -> None:
        assert error(await served.post(slowly()), 504) == "No answer within 0.1 s"

    run(test, ServerLimits(0.1, 10_000, 3))


def test_slow_bodies_do_not_count_as_concurrent_requests() -> None:
    async def test(served: Served) -> None:
        go = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield BODY[:5]
            await go.wait()
            yield BODY[5:]

        slow = [asyncio.ensure_future(served.post(slowly())) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert (await served.post()).status_code == 200
        go.set()
        assert {(await one).status_code for one in slow} == {200}

    run(test)


def large(size: int) -> bytes:
    return json.dumps({"instances": ["a" * (size - len('{"instances": [""]}'))]}).encode()


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_body_larger_than_the_limit_is_rejected(compress: Callable[[bytes], bytes]) -> None:
    async def test(served: Served) -> None:
        encoding = {"content_encoding": "gzip"} if compress is gzip.compress else {}
        assert (await served.post(compress(large(10_000)), **encoding)).status_code == 200
        assert "larger than 10000 bytes" in error(await served.post(compress(large(10_001)), **encoding), 413)

    run(test)


def test_a_gzip_bomb_is_not_decompressed() -> None:
    async def test(served: Served) -> None:
        assert "larger than" in error(await served.post(gzip.compress(bytes(10**8)), content_encoding="gzip"), 413)
        assert "gzip" in error(await served.post(BODY, content_encoding="gzip"), 400)

    run(test, ServerLimits(5.0, 200_000, 3))


def test_too_many_large_bodies_at_once_are_rejected() -> None:
    async def test(served: Served) -> None:
        go = asyncio.Event()

        async def almost() -> AsyncIterator[bytes]:
            yield bytes(9_999)
            await go.wait()

        waiting = [asyncio.ensure_future(served.post(almost())) for _ in range(16)]
        await asyncio.sleep(0.05)
        assert "Too many large requests" in error(await served.post(large(9_000)), 503)
        go.set()
        assert {(await one).status_code for one in waiting} == {400}
        assert (await served.post(large(9_000))).status_code == 200

    run(test, ServerLimits(5.0, 10_000, 100))
