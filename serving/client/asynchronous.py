"""The client of a served model for asynchronous programs: `serving.client.blocking` with `await`."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, overload

import httpx

from serving.client import transport
from serving.client.options import GenerateArguments, GenerateOptions
from serving.client.protocol import Failure, Pause, Request, Response, Result, Steps
from serving.client.status import VersionStatus
from serving.client.stream import LARGEST_CHUNK, Progress
from serving.client.values import Continuation, Generated, Metadata, Score, as_texts

if TYPE_CHECKING:
    from typing_extensions import Unpack


class AsyncClient:
    """Asynchronous client of one model, for one event loop; values, errors and retries are those of `Client`.

    Example, run by `test_example_of_the_asynchronous_client`:
      >>> async with AsyncClient("http://127.0.0.1:8501") as client:
      ...     text = await client.generate("ROMEO:", num_chars=200, seed=7)
      ...     async for chunk in client.stream("ROMEO:", num_chars=5_000):
      ...         print(chunk, end="", flush=True)
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
        """Choose server and model, as in `Client`; sends nothing yet."""
        self.protocol = transport.protocol(url, model, version, label, retries)
        self._http = httpx.AsyncClient(**transport.options(self.protocol, timeout, headers))

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
        rows = as_texts(prompts, "prompt")
        texts = await self._run(self.protocol.generate(rows, GenerateOptions(**options)))
        return texts[0] if isinstance(prompts, str) else texts

    async def generate_from_state(
        self,
        prompts: Sequence[str],
        states: Sequence[Sequence[float]] | None = None,
        **options: "Unpack[GenerateArguments]",
    ) -> list[Continuation]:
        """Continue from states that a previous call returned, as `Client.generate_from_state` does."""
        rows = as_texts(prompts, "prompt")
        options.setdefault("num_chars", 1)
        return await self._run(self.protocol.generate_from_state(rows, states, GenerateOptions(**options)))

    def stream(
        self, prompt: str, *, chunk_chars: int = LARGEST_CHUNK, **options: "Unpack[GenerateArguments]"
    ) -> "AsyncTextStream":
        """Generate the text of `generate` in chunks of at most `chunk_chars`; the first ones are smaller."""
        (row,) = as_texts([prompt], "prompt")
        return AsyncTextStream(self, Progress(self.protocol, row, GenerateOptions(**options), chunk_chars))

    @overload
    async def score(self, texts: str) -> Score: ...  # type: ignore[overload-overlap]
    @overload
    async def score(self, texts: Sequence[str]) -> list[Score]: ...

    async def score(self, texts: str | Sequence[str]) -> Score | list[Score]:
        """Compute the log-likelihood of one text or several, each from the initial state; a list for several."""
        scores = await self._run(self.protocol.score(as_texts(texts, "text")))
        return scores[0] if isinstance(texts, str) else scores

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


class AsyncTextStream(AsyncIterator[str]):
    """Iterator over the chunks of one text. After an error, iterating again continues without a gap."""

    def __init__(self, client: AsyncClient, progress: Progress) -> None:
        self._client, self._progress = client, progress
        self.seed = progress.seed

    @property
    def text(self) -> str:
        """The text received so far."""
        return self._progress.text

    async def __anext__(self) -> str:
        chunk = await self._client._run(self._progress.chunk())
        if chunk is None:
            raise StopAsyncIteration
        return chunk
