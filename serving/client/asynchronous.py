"""The client of a served model for asynchronous programs: `serving.client.blocking` with `await`.

An example:

    async with AsyncClient("http://127.0.0.1:8501") as client:
        print(await client.generate("ROMEO:", num_chars=200, seed=7))
        async for chunk in client.stream("ROMEO:", num_chars=5_000):
            print(chunk, end="", flush=True)
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import overload

import httpx

from serving.client import transport as transport
from serving.client.protocol import Answer, Call, Lost, Pause, Result, Steps
from serving.client.stream import LARGEST_CHUNK, Progress
from serving.client.values import (
    NUM_CHARS,
    TEMPERATURE,
    TOP_K,
    Continuation,
    Controls,
    Generated,
    Metadata,
    Score,
    VersionStatus,
    texts_of,
)


class AsyncClient:
    """Asynchronous client, for one event loop.

    Values, errors and repeated requests are those of `serving.client.blocking.Client`.
    """

    def __init__(
        self,
        url: str = transport.DEFAULT_URL,
        model: str = "char_rnn",
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float = transport.TIMEOUT,
        retries: int = transport.RETRIES,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Choose server and model, as for `Client`; nothing is sent yet."""
        self.protocol = transport.protocol(url, model, version, label, retries)
        self._http = httpx.AsyncClient(**transport.options(self.protocol, timeout, headers))

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give back the connections."""
        await self._http.aclose()

    @overload
    async def generate(  # type: ignore[overload-overlap]  # a str is a sequence of str, too
        self,
        prompts: str,
        *,
        num_chars: int = ...,
        temperature: float = ...,
        top_k: int = ...,
        seed: int | Sequence[int] | None = ...,
    ) -> Generated: ...
    @overload
    async def generate(
        self,
        prompts: Sequence[str],
        *,
        num_chars: int = ...,
        temperature: float = ...,
        top_k: int = ...,
        seed: int | Sequence[int] | None = ...,
    ) -> list[Generated]: ...

    async def generate(
        self,
        prompts: str | Sequence[str],
        *,
        num_chars: int = NUM_CHARS,
        temperature: float = TEMPERATURE,
        top_k: int = TOP_K,
        seed: int | Sequence[int] | None = None,
    ) -> Generated | list[Generated]:
        """As `Client.generate`."""
        rows = texts_of(prompts, "prompt")
        texts = await self._run(
            self.protocol.generate(rows, Controls.of(len(rows), num_chars, temperature, top_k, seed))
        )
        return texts[0] if isinstance(prompts, str) else texts

    async def generate_from_state(
        self,
        prompts: Sequence[str],
        states: Sequence[Sequence[float]] | None = None,
        *,
        num_chars: int = 1,
        temperature: float = TEMPERATURE,
        top_k: int = TOP_K,
        seed: int | Sequence[int] | None = None,
    ) -> list[Continuation]:
        """As `Client.generate_from_state`."""
        rows = texts_of(prompts, "prompt")
        controls = Controls.of(len(rows), num_chars, temperature, top_k, seed)
        return await self._run(self.protocol.generate_from_state(rows, states, controls))

    def stream(
        self,
        prompt: str,
        *,
        num_chars: int = NUM_CHARS,
        temperature: float = TEMPERATURE,
        top_k: int = TOP_K,
        seed: int | None = None,
        chunk_chars: int = LARGEST_CHUNK,
    ) -> "AsyncTextStream":
        """The text of `generate` with the same seed, in chunks of up to `chunk_chars`, the first ones small."""
        (row,) = texts_of([prompt], "prompt")
        controls = Controls.of(1, num_chars, temperature, top_k, seed)
        return AsyncTextStream(self, Progress(self.protocol, row, controls, chunk_chars))

    @overload
    async def score(self, texts: str) -> Score: ...  # type: ignore[overload-overlap]
    @overload
    async def score(self, texts: Sequence[str]) -> list[Score]: ...

    async def score(self, texts: str | Sequence[str]) -> Score | list[Score]:
        """How well the model foresees one text or several, each from a fresh start; a list for a list."""
        scores = await self._run(self.protocol.score(texts_of(texts, "text")))
        return scores[0] if isinstance(texts, str) else scores

    async def status(self) -> list[VersionStatus]:
        """The versions that the server knows, newest first."""
        return await self._run(self.protocol.status())

    async def metadata(self) -> Metadata:
        """The version that answers, and its signatures."""
        return await self._run(self.protocol.metadata())

    async def _run(self, steps: Steps[Result]) -> Result:
        outcome: Answer | Lost | None = None
        while True:
            try:
                wanted = steps.send(outcome)
            except StopIteration as end:
                return end.value
            outcome = await self._do(wanted)

    async def _do(self, wanted: Call | Pause) -> Answer | Lost | None:
        if isinstance(wanted, Pause):
            await asyncio.sleep(wanted.seconds)
            return None
        try:
            return transport.answer(await self._http.request(wanted.method, wanted.url, content=wanted.body))
        except httpx.HTTPError as error:
            return transport.lost(error)


class AsyncTextStream(AsyncIterator[str]):
    """Iterator over the chunks of one text. After an error, iterating again goes on without a gap."""

    def __init__(self, client: AsyncClient, progress: Progress) -> None:
        self._client, self._progress = client, progress

    @property
    def seed(self) -> int:
        """The seed that gives this text."""
        return self._progress.seed

    @property
    def text(self) -> str:
        """All that has come so far."""
        return self._progress.text

    async def __anext__(self) -> str:
        chunk = await self._client._run(self._progress.chunk())
        if chunk is None:
            raise StopAsyncIteration
        return chunk
