"""A long text in chunks, each continuing from the state after the one before."""

from collections.abc import Sequence

from serving.client.errors import ServerError
from serving.client.protocol import Protocol, Steps, fresh_state
from serving.client.values import Controls, whole

FIRST_CHUNK = 16  # characters: the first ones are there at once
GROWTH = 4  # each chunk over the one before
LARGEST_CHUNK = 512  # characters: what a request costs besides generating is then a small part
_READ_AGAIN = 10_000  # characters that another version reads to go on


class Progress:
    """Where a stream stands. A chunk that failed is asked for again from the state before it.

    All chunks come from one version. Where the server has unloaded it meanwhile, the version in its place reads the
    text so far and goes on.
    """

    def __init__(self, protocol: Protocol, prompt: str, controls: Controls, chunk_chars: int) -> None:
        if whole("chunk_chars", chunk_chars) < 1:
            raise ValueError(f"chunk_chars must be at least 1. Received: chunk_chars={chunk_chars}")
        self._protocol, self._controls = protocol, controls
        self._prompt, self._unread = prompt, prompt
        self._largest = chunk_chars
        self._size = min(FIRST_CHUNK, chunk_chars)
        self._version: int | None = None
        self._parts: list[str] = []
        self._remaining = controls.num_chars
        self.state: Sequence[float] | None = None

    @property
    def seed(self) -> int:
        """The seed that gives this text."""
        return self._controls.seeds[0]

    @property
    def text(self) -> str:
        """All that has come so far."""
        return "".join(self._parts)

    def chunk(self) -> Steps[str | None]:
        """Ask for the next chunk; None when all has come."""
        if not self._remaining:
            return None
        if self.state is None:
            yield from self._begin()
        try:
            return (yield from self._continue())
        except ServerError as error:
            if error.status != 404 or self._protocol.version is not None:
                raise
        # Should this fail, too, the next attempt begins here again.
        self._unread, self.state = (self._prompt + self.text)[-_READ_AGAIN:], None
        yield from self._begin()
        return (yield from self._continue())

    def _begin(self) -> Steps[None]:
        metadata = yield from self._protocol.metadata()
        self.state = fresh_state(metadata)
        self._version = metadata.version

    def _continue(self) -> Steps[str]:
        assert self.state is not None
        size = min(self._size, self._remaining)
        controls = Controls(size, self._controls.temperature, self._controls.top_k, self._controls.seeds)
        (row,) = yield from self._protocol.generate_from_state([self._unread], [self.state], controls, self._version)
        text, self.state = str(row.text), row.state
        self._unread = ""
        self._parts.append(text)
        self._remaining -= size
        self._size = min(GROWTH * self._size, self._largest)
        return text
