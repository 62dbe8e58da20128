"""The client of a served model for asynchronous programs: that of `blocking` with `await`."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, overload

import httpx

from . import transport
from .options import GenerateArguments, GenerateOptions
from .protocol import Pause, Request, Result, Steps
from .responses import Failure, Response
from .status import VersionStatus
from .stream import LARGEST_CHUNK, Progress
from .values import Alternative, Continuation, Generated, Metadata, Score

if TYPE_CHECKING:
    from typing_extensions import Unpack


class AsyncClient(transport.BaseClient[httpx.AsyncClient, httpx.AsyncBaseTransport]):
    """Asynchronous client of one model, for one event loop; values, errors and retries are those of `Client`.

    Example, run by `test_example_of_the_asynchronous_client`:
      >>> async with AsyncClient("http://127.0.0.1:8501") as client:
      ...     text = await client.generate("ROMEO:", num_chars=200, seed=7)
      ...     async for chunk in client.stream("ROMEO:", num_chars=5_000):
      ...         print(chunk, end="", flush=True)
    """

    _http_class = httpx.AsyncClient

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    @overload
    async def generate(  # type: ignore[overload-overlap]  # a str is a sequence of str, too
        self, prompts: str, **options: "Unpack[GenerateArguments]"
    ) -> Generated: ...
    @overload
    async def generate(self, prompts: Sequence[str], **options: "Unpack[GenerateArguments]") -> list[Generated]: ...

    async def generate(
        self, prompts: str | Sequence[str], **options: "Unpack[GenerateArguments]"
    ) -> Generated | list[Generated]:
        """Generate text after one prompt or several, as `Client.generate` does."""
        return await self._run(self.protocol.generate(prompts, GenerateOptions(**options)))

    async def generate_from_state(
        self,
        prompts: Sequence[str],
        states: Sequence[Sequence[float]] | None = None,
        **options: "Unpack[GenerateArguments]",
    ) -> list[Continuation]:
        """Continue from states that a previous call returned, as `Client.generate_from_state` does."""
        options.setdefault("num_chars", 1)
        return await self._run(self.protocol.generate_from_state(prompts, states, GenerateOptions(**options)))

    def stream(
        self, prompt: str, *, chunk_chars: int = LARGEST_CHUNK, **options: "Unpack[GenerateArguments]"
    ) -> "AsyncTextStream":
        """Generate the text of `generate` in chunks of at most `chunk_chars`; the first ones are smaller.

        Where the export allows less in one request, chunks have at most that length; the complete text may be longer.
        """
        return AsyncTextStream(self, prompt, GenerateOptions(**options), chunk_chars)

    @overload
    async def score(self, texts: str) -> Score: ...  # type: ignore[overload-overlap]
    @overload
    async def score(self, texts: Sequence[str]) -> list[Score]: ...

    async def score(self, texts: str | Sequence[str]) -> Score | list[Score]:
        """Compute the log-likelihood of one text or several, each from the initial state; a list for several."""
        return await self._run(self.protocol.score(texts))

    @overload
    async def alternatives(  # type: ignore[overload-overlap]
        self, texts: str, top_n: int = 5
    ) -> list[list[Alternative]]: ...
    @overload
    async def alternatives(self, texts: Sequence[str], top_n: int = 5) -> list[list[list[Alternative]]]: ...

    async def alternatives(
        self, texts: str | Sequence[str], top_n: int = 5
    ) -> list[list[Alternative]] | list[list[list[Alternative]]]:
        """List the most likely characters at each place of one text or of several, as `Client.alternatives` does."""
        return await self._run(self.protocol.alternatives(texts, top_n))

    async def unknown(self, texts: str | Sequence[str]) -> list[str]:
        """List the characters that the model does not know, as `Client.unknown` does."""
        return await self._run(self.protocol.unknown(texts))

    async def status(self) -> list[VersionStatus]:
        """List the versions that the server knows, newest first."""
        return await self._run(self.protocol.status())

    async def metadata(self) -> Metadata:
        """Ask which version responds, and for its signatures."""
        return await self._run(self.protocol.metadata())

    async def _run(self, steps: Steps[Result]) -> Result:
        outcome: Response | Failure | None = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                return end.value
            outcome = await self._perform(step)

    async def _perform(self, step: Request | Pause) -> Response | Failure | None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        try:
            return transport.response(await self._http.request(step.method, step.url, content=step.body))
        except httpx.HTTPError as error:
            return transport.failure(error)


class AsyncTextStream(Progress, AsyncIterator[str]):
    """Iterator over the chunks of one text. After an error, iterating again continues without a gap."""

    def __init__(self, client: AsyncClient, prompt: str, options: GenerateOptions, chunk_chars: int) -> None:
        super().__init__(client.protocol, prompt, options, chunk_chars)
        self._client = client

    async def __anext__(self) -> str:
        chunk = await self._client._run(self.chunk())
        if chunk is None:
            raise StopAsyncIteration
        return chunk
