"""The blocking client of a served model, over TF Serving's REST port."""

import time
from collections.abc import Iterator, Sequence
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


class Client(transport.BaseClient[httpx.Client, httpx.BaseTransport]):
    """Blocking client of one model; works with any TF Serving, needs no TensorFlow, may be shared by threads.

    After 429, 502, 503 and a lost connection a request is sent again, `retries` times at most, after pauses that grow
    from 0.1 to 10 seconds. The retry generates the same text, because every request carries its seeds.

    Example, run by `test_example_of_the_client`:
      >>> with Client("http://127.0.0.1:8501") as client:
      ...     text = client.generate("ROMEO:", num_chars=200, temperature=0.7, seed=7)
      ...     for chunk in client.stream("ROMEO:", num_chars=5_000):
      ...         print(chunk, end="", flush=True)
      ...     perplexity = client.score("To be, or not to be").perplexity
      ...     character, probability = client.alternatives("To be", top_n=3)[-1][0]

    Raises:
      ClientError: from every operation, as one of `NotReachable`; `TimedOut`; `ModelUnavailable` (not served,
        overloaded or still loading); `ServerError` (another error, with the server's message); `Unsupported` (an
        export older than what is asked for); `BadAnswer`.
      ValueError: from every operation, for arguments that no server would accept.
    """

    _http_class = httpx.Client

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @overload
    def generate(  # type: ignore[overload-overlap]  # a str is a sequence of str, too
        self, prompts: str, **options: "Unpack[GenerateArguments]"
    ) -> Generated: ...
    @overload
    def generate(self, prompts: Sequence[str], **options: "Unpack[GenerateArguments]") -> list[Generated]: ...

    def generate(
        self, prompts: str | Sequence[str], **options: "Unpack[GenerateArguments]"
    ) -> Generated | list[Generated]:
        """Generate text after one prompt or several, in one request.

        Args:
          prompts: a text, or several.
          **options: num_chars, temperature, top_k, seed, top_p, repetition_penalty, stop, as `GenerateOptions`
            documents them.

        Returns:
          The new text without its prompt, a list for several prompts. `text.seed` generates the same text again, and
          `text.stopped` is whether `stop` ended it.
        """
        return self._run(self.protocol.generate(prompts, GenerateOptions(**options)))

    def generate_from_state(
        self,
        prompts: Sequence[str],
        states: Sequence[Sequence[float]] | None = None,
        **options: "Unpack[GenerateArguments]",
    ) -> list[Continuation]:
        """Continue from states that a previous call returned; None: from the initial state.

        `num_chars` is 1 by default. With the same seed, and an empty prompt in each call after the first, the texts
        join to that of one `generate`. With `top_p`, `repetition_penalty` or `stop` the states are others, so these
        options must be set in all of a text's calls or in none.
        """
        options.setdefault("num_chars", 1)
        return self._run(self.protocol.generate_from_state(prompts, states, GenerateOptions(**options)))

    def stream(
        self, prompt: str, *, chunk_chars: int = LARGEST_CHUNK, **options: "Unpack[GenerateArguments]"
    ) -> "TextStream":
        """Generate the text of `generate` in chunks of at most `chunk_chars`; the first ones are smaller.

        Where the export allows less in one request, chunks have at most that length; the complete text may be longer.
        """
        return TextStream(self, prompt, GenerateOptions(**options), chunk_chars)

    @overload
    def score(self, texts: str) -> Score: ...  # type: ignore[overload-overlap]
    @overload
    def score(self, texts: Sequence[str]) -> list[Score]: ...

    def score(self, texts: str | Sequence[str]) -> Score | list[Score]:
        """Compute the log-likelihood of one text or several, each from the initial state; a list for several.

        They are one request, which must not exceed the export's limit, `export.max_score_chars`: number of texts times
        characters of the longest. Otherwise there is a `ServerError` with status 400 that states the limit.
        """
        return self._run(self.protocol.score(texts))

    @overload
    def alternatives(  # type: ignore[overload-overlap]
        self, texts: str, top_n: int = 5
    ) -> list[list[Alternative]]: ...
    @overload
    def alternatives(self, texts: Sequence[str], top_n: int = 5) -> list[list[list[Alternative]]]: ...

    def alternatives(
        self, texts: str | Sequence[str], top_n: int = 5
    ) -> list[list[Alternative]] | list[list[list[Alternative]]]:
        """List the most likely characters at each place of one text or of several, from the initial state.

        Args:
          texts: a text, or several, in one request; its limit is that of `score` divided by `top_n`.
          top_n: how many characters, from 1 to the size of the vocabulary.

        Returns:
          For each character of a text the `top_n` characters that the model expects most after the text before it, the
          most likely first; at the first character those that start a line. A list of these for several texts.

        Example, how surprising each character of a text is:
          >>> for character, expected in zip("To be", client.alternatives("To be", top_n=3)):
          ...     print(repr(character), ", ".join(f"{one!r} {probability:.0%}" for one, probability in expected))
        """
        return self._run(self.protocol.alternatives(texts, top_n))

    def unknown(self, texts: str | Sequence[str]) -> list[str]:
        """List the characters that the model does not know, each once: its training text does not have them.

        It reads all of them as the same one, and never generates them. Marks after a character belong to it.
        """
        return self._run(self.protocol.unknown(texts))

    def status(self) -> list[VersionStatus]:
        """List the versions that the server knows, newest first."""
        return self._run(self.protocol.status())

    def metadata(self) -> Metadata:
        """Ask which version responds, and for its signatures."""
        return self._run(self.protocol.metadata())

    def _run(self, steps: Steps[Result]) -> Result:
        outcome: Response | Failure | None = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                return end.value
            outcome = self._perform(step)

    def _perform(self, step: Request | Pause) -> Response | Failure | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            return transport.response(self._http.request(step.method, step.url, content=step.body))
        except httpx.HTTPError as error:
            return transport.failure(error)


class TextStream(Progress, Iterator[str]):
    """Iterator over the chunks of one text. After an error, iterating again continues without a gap."""

    def __init__(self, client: Client, prompt: str, options: GenerateOptions, chunk_chars: int) -> None:
        super().__init__(client.protocol, prompt, options, chunk_chars)
        self._client = client

    def __next__(self) -> str:
        chunk = self._client._run(self.chunk())
        if chunk is None:
            raise StopIteration
        return chunk
