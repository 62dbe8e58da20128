"""A long text in chunks; each request continues from the state that the previous one returned."""

from collections.abc import Sequence
from dataclasses import replace

from serving.client.errors import ServerError
from serving.client.options import GenerateOptions
from serving.client.protocol import Protocol, Steps, initial_state
from serving.client.values import as_integer, as_texts

FIRST_CHUNK = 16  # characters: a short wait for the first ones
GROWTH = 4  # ratio of the sizes of two consecutive chunks
LARGEST_CHUNK = 512  # characters: the cost of a request is then small compared with generating
_CONTEXT_CHARS = 10_000  # of the text so far, that another version reads before it continues


class Progress:
    """Position in a stream. After an error, the chunk is requested again from the state before it.

    All chunks come from one version. If the server unloads that version, its replacement reads the text so far and
    continues. Example: `test_chunks_start_small_and_grow` in tests/serving/client/test_stream.py.
    """

    def __init__(self, protocol: Protocol, prompt: str, options: GenerateOptions, chunk_chars: int) -> None:
        if as_integer("chunk_chars", chunk_chars) < 1:
            raise ValueError(f"chunk_chars must be at least 1. Received: chunk_chars={chunk_chars}")
        (self.seed,) = options.seeds(1)
        self._protocol, self._options = protocol, options
        (self._prompt,) = as_texts([prompt], "prompt")
        self._unread = self._prompt
        self._largest = chunk_chars
        self._size = min(FIRST_CHUNK, chunk_chars)
        self._version: int | None = None
        self._parts: list[str] = []
        self._remaining = options.num_chars
        self.state: Sequence[float] | None = None

    @property
    def text(self) -> str:
        """The text received so far."""
        return "".join(self._parts)

    def chunk(self) -> Steps[str | None]:
        """Request the next chunk; None at the end of the text."""
        if not self._remaining:
            return None
        if self.state is None:
            yield from self._start()
        try:
            return (yield from self._continue())
        except ServerError as error:
            if error.status != 404 or self._protocol.version is not None:
                raise
        # If this fails as well, the next call starts here again.
        self._unread, self.state = (self._prompt + self.text)[-_CONTEXT_CHARS:], None
        yield from self._start()
        return (yield from self._continue())

    def _start(self) -> Steps[None]:
        metadata = yield from self._protocol.metadata()
        self.state = initial_state(metadata)
        self._version = metadata.version

    def _continue(self) -> Steps[str]:
        assert self.state is not None
        size = min(self._size, self._remaining)
        options = replace(self._options, num_chars=size)
        (row,) = yield from self._protocol.generate_from_state([self._unread], [self.state], options, self._version)
        text, self.state = str(row.text), row.state
        self._unread = ""
        self._parts.append(text)
        self._remaining -= size
        self._size = min(GROWTH * self._size, self._largest)
        return text
