"""The client of a served model, over TF Serving's REST port.

    from serving.client import Client

    with Client("http://127.0.0.1:8501") as client:
        print(client.generate("ROMEO:", num_chars=200, temperature=0.7, seed=7))
        for chunk in client.stream("ROMEO:", num_chars=5_000):
            print(chunk, end="", flush=True)
        print(client.score("To be, or not to be").perplexity)

`serving.client.asynchronous.AsyncClient` is the same for asynchronous programs. Both work with any TF Serving
and need no TensorFlow.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
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


class Client:
    """Blocking client; may be shared by threads.

    Every operation raises a `serving.client.errors.ClientError`: `NotReachable`, `TimedOut`, `ModelUnavailable` (not
    served, overloaded or still loading), `ServerError` (refused for another reason, in the server's words),
    `BadAnswer`; and `ValueError` for arguments that no server would take. After 429, 502, 503 and a lost connection a
    request is sent again, with growing pauses: that gives the same text, because every request carries its seeds.
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
        """Choose server and model; nothing is sent yet.

        Args:
          url: the server, with whatever path a proxy puts before `/v1`.
          version: this one instead of the newest.
          label: the version with this label, for example `stable`.
          timeout: seconds to wait for the next byte of an answer.
          retries: how often a request is sent again.
          headers: more HTTP headers, for example for a proxy that wants authorization.

        Raises:
          ValueError: the server's address or a value is not what it should be.
        """
        self.protocol = transport.protocol(url, model, version, label, retries)
        self._http = httpx.Client(**transport.options(self.protocol, timeout, headers))

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back the connections."""
        self._http.close()

    @overload
    def generate(  # type: ignore[overload-overlap]  # a str is a sequence of str, too
        self,
        prompts: str,
        *,
        num_chars: int = ...,
        temperature: float = ...,
        top_k: int = ...,
        seed: int | Sequence[int] | None = ...,
    ) -> Generated: ...
    @overload
    def generate(
        self,
        prompts: Sequence[str],
        *,
        num_chars: int = ...,
        temperature: float = ...,
        top_k: int = ...,
        seed: int | Sequence[int] | None = ...,
    ) -> list[Generated]: ...

    def generate(
        self,
        prompts: str | Sequence[str],
        *,
        num_chars: int = NUM_CHARS,
        temperature: float = TEMPERATURE,
        top_k: int = TOP_K,
        seed: int | Sequence[int] | None = None,
    ) -> Generated | list[Generated]:
        """Write on after one prompt or several, in one request.

        Args:
          temperature: 0 always takes the most likely character, 1 draws as the model foresees.
          top_k: draw among so many of the most likely characters; 0: among all.
          seed: of the first prompt; the next ones have seed + 1, seed + 2, ... Or one for each. None: drawn here.

        Returns:
          The new text without its prompt; `text.seed` gives it again. A list for a list.
        """
        rows = texts_of(prompts, "prompt")
        controls = Controls.of(len(rows), num_chars, temperature, top_k, seed)
        texts = self._run(self.protocol.generate(rows, controls))
        return texts[0] if isinstance(prompts, str) else texts

    def generate_from_state(
        self,
        prompts: Sequence[str],
        states: Sequence[Sequence[float]] | None = None,
        *,
        num_chars: int = 1,
        temperature: float = TEMPERATURE,
        top_k: int = TOP_K,
        seed: int | Sequence[int] | None = None,
    ) -> list[Continuation]:
        """Go on from states that a former call returned, or from a fresh start; with `num_chars` 1, one step.

        With the same seed and an empty prompt in each call after the first, the texts join to what one `generate`
        gives.
        """
        rows = texts_of(prompts, "prompt")
        controls = Controls.of(len(rows), num_chars, temperature, top_k, seed)
        return self._run(self.protocol.generate_from_state(rows, states, controls))

    def stream(
        self,
        prompt: str,
        *,
        num_chars: int = NUM_CHARS,
        temperature: float = TEMPERATURE,
        top_k: int = TOP_K,
        seed: int | None = None,
        chunk_chars: int = LARGEST_CHUNK,
    ) -> "TextStream":
        """The text of `generate` with the same seed, in chunks of up to `chunk_chars`, the first ones small."""
        (row,) = texts_of([prompt], "prompt")
        controls = Controls.of(1, num_chars, temperature, top_k, seed)
        return TextStream(self, Progress(self.protocol, row, controls, chunk_chars))

    @overload
    def score(self, texts: str) -> Score: ...  # type: ignore[overload-overlap]
    @overload
    def score(self, texts: Sequence[str]) -> list[Score]: ...

    def score(self, texts: str | Sequence[str]) -> Score | list[Score]:
        """How well the model foresees one text or several, each from a fresh start; a list for a list."""
        scores = self._run(self.protocol.score(texts_of(texts, "text")))
        return scores[0] if isinstance(texts, str) else scores

    def status(self) -> list[VersionStatus]:
        """The versions that the server knows, newest first."""
        return self._run(self.protocol.status())

    def metadata(self) -> Metadata:
        """The version that answers, and its signatures."""
        return self._run(self.protocol.metadata())

    def _run(self, steps: Steps[Result]) -> Result:
        outcome: Answer | Lost | None = None
        while True:
            try:
                wanted = steps.send(outcome)
            except StopIteration as end:
                return end.value
            outcome = self._do(wanted)

    def _do(self, wanted: Call | Pause) -> Answer | Lost | None:
        if isinstance(wanted, Pause):
            time.sleep(wanted.seconds)
            return None
        try:
            return transport.answer(self._http.request(wanted.method, wanted.url, content=wanted.body))
        except httpx.HTTPError as error:
            return transport.lost(error)


class TextStream(Iterator[str]):
    """Iterator over the chunks of one text. After an error, iterating again goes on without a gap."""

    def __init__(self, client: Client, progress: Progress) -> None:
        self._client, self._progress = client, progress

    @property
    def seed(self) -> int:
        """The seed that gives this text."""
        return self._progress.seed

    @property
    def text(self) -> str:
        """All that has come so far."""
        return self._progress.text

    def __next__(self) -> str:
        chunk = self._client._run(self._progress.chunk())
        if chunk is None:
            raise StopIteration
        return chunk
