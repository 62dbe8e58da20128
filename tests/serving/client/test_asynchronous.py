"""The asynchronous client does the same as the blocking one, whose tests cover the shared code."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from serving.client.asynchronous import AsyncClient
from serving.client.blocking import Client
from serving.client.errors import ServerError, TimedOut
from tests.serving.client.examples import run_example


def within(url: str, model: str, work: Callable[[AsyncClient], Awaitable[Any]], **settings: Any) -> Any:
    async def run() -> Any:
        async with AsyncClient(url, model, **settings) as client:
            return await work(client)

    return asyncio.run(run())


def test_both_clients_have_the_same_signatures() -> None:
    for name in (
        "__init__",
        "generate",
        "generate_from_state",
        "stream",
        "score",
        "alternatives",
        "status",
        "metadata",
    ):
        ours, theirs = (inspect.signature(getattr(kind, name)).parameters for kind in (AsyncClient, Client))
        assert list(ours.values()) == list(theirs.values()), name


@pytest.mark.integration
def test_both_clients_return_the_same_values(served: Any) -> None:
    async def work(client: AsyncClient) -> Any:
        (row,) = await client.generate_from_state(["A"], num_chars=3, seed=1)
        return (
            await client.generate("ROMEO:", seed=5),
            await client.generate(["ROMEO:", ""], seed=5),
            [chunk async for chunk in client.stream("ROMEO:", num_chars=300, seed=5)],
            (await client.score("ROMEO:")).nll_sum,
            await client.status(),
            (await client.metadata()).version,
            await client.generate(["ROMEO:", ""], seed=5, top_p=0.8, stop="e"),
            await client.alternatives("ROMEO:", top_n=2),
            await client.alternatives(["R", "O"]),
            row.text,
        )

    with Client(served.url, served.model) as client:
        (row,) = client.generate_from_state(["A"], num_chars=3, seed=1)
        expected = (
            client.generate("ROMEO:", seed=5),
            client.generate(["ROMEO:", ""], seed=5),
            list(client.stream("ROMEO:", num_chars=300, seed=5)),
            client.score("ROMEO:").nll_sum,
            client.status(),
            client.metadata().version,
            client.generate(["ROMEO:", ""], seed=5, top_p=0.8, stop="e"),
            client.alternatives("ROMEO:", top_n=2),
            client.alternatives(["R", "O"]),
            row.text,
        )
    assert within(served.url, served.model, work) == expected
    assert "".join(expected[2]) == expected[0]


@pytest.mark.integration
def test_requests_of_one_client_run_concurrently(script: Any) -> None:
    for _ in range(4):
        script.then(200, {"predictions": ["x"]}, delay=0.3)
    began = time.monotonic()
    texts = within(script.url, "m", lambda client: asyncio.gather(*(client.generate("A") for _ in range(4))))
    assert texts == ["x"] * 4
    assert time.monotonic() - began < 1.0


@pytest.mark.integration
def test_lost_connection_is_retried_and_timeout_is_not(script: Any) -> None:
    script.then_reset().then(503, {"error": "loading"}).then(200, {"predictions": ["text"]})
    assert within(script.url, "m", lambda client: client.generate("A")) == "text"
    script.then(200, {"predictions": ["late"]}, delay=0.5)
    with pytest.raises(TimedOut):
        within(script.url, "m", lambda client: client.generate("A"), timeout=0.1)
    assert len(script.asked) == 4


@pytest.mark.integration
def test_stream_resumes_without_a_gap_after_an_error(script: Any) -> None:
    script.then_metadata(8, 1).then_chunk("a" * 16, [1.0]).then(500, {"error": "broken"}).then_chunk("b" * 4, [2.0])

    async def work(client: AsyncClient) -> Any:
        stream = client.stream("A", num_chars=20, seed=1)
        first = await anext_of(stream)
        with pytest.raises(ServerError, match="broken"):
            await anext_of(stream)
        return first, [chunk async for chunk in stream], stream.text, stream.seed

    assert within(script.url, "m", work) == ("a" * 16, ["b" * 4], "a" * 16 + "b" * 4, 1)


async def anext_of(stream: Any) -> str:
    chunk: str = await stream.__anext__()
    return chunk


@pytest.mark.integration
def test_example_of_the_asynchronous_client(served: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run_example(AsyncClient, served.url, served.model)
    assert len(capsys.readouterr().out) == 5_000
