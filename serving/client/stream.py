"""A long text in chunks; each request continues from the state that the previous one returned."""

import re
from collections.abc import Sequence
from dataclasses import replace

from .errors import ServerError
from .options import GenerateOptions
from .protocol import Protocol, Steps, initial_state
from .stop import StopString
from .values import Generated, as_integer, as_texts

FIRST_CHUNK = 16  # characters: a short wait for the first ones
GROWTH = 4  # ratio of the sizes of two consecutive chunks
LARGEST_CHUNK = 512  # characters: the cost of a request is then small compared with generating
_CONTEXT_CHARS = 10_000  # of the text so far, that another version reads before it continues
# TF Serving has no route for an export's limits; the graph states them when it rejects a request.
CHUNK_LIMIT = re.compile(r"num_chars must be from 0 to (\d+)")


class Progress:
    """Position in a stream. After an error, the chunk is requested again from the state before it.

    All chunks come from one version. If the server unloads that version, its replacement reads the text so far and
    continues. An export that rejects the size of a chunk is asked for smaller ones from then on. The stop string is
    found here, in the joined chunks; an export that knows `stop` only generates nothing after it.
    Example: `test_chunks_start_small_and_grow` in tests/serving/client/test_stream.py.
    """

    def __init__(self, protocol: Protocol, prompt: str, options: GenerateOptions, chunk_chars: int) -> None:
        if as_integer("chunk_chars", chunk_chars) < 1:
            raise ValueError(f"chunk_chars must be at least 1. Received: chunk_chars={chunk_chars}")
        (self.seed,) = options.seeds(1)
        self._protocol, self._options = protocol, options
        self._adapted = options  # to the export that answers
        (self._prompt,) = as_texts([prompt], "prompt")
        self._unread = self._prompt
        self._largest = chunk_chars
        self._size = min(FIRST_CHUNK, chunk_chars)
        self._version: int | None = None
        self._parts: list[str] = []
        self._remaining = options.num_chars
        self._stop = StopString(options.stop)
        self.state: Sequence[float] | None = None

    @property
    def text(self) -> str:
        """The text received so far, without what may turn out to be the stop string."""
        return "".join(self._parts)

    @property
    def stopped(self) -> bool:
        """Whether the option `stop` has ended the text."""
        return self._stop.found

    def chunk(self) -> Steps[str | None]:
        """Request the next chunk; None at the end of the text."""
        while self._remaining and not self.stopped:
            received = yield from self._receive()
            if text := self._stop.read(received, not self._remaining, received.stopped):
                self._parts.append(text)
                return text
        return None

    def _receive(self) -> Steps[Generated]:
        if self.state is None:
            yield from self._start()
        try:
            return (yield from self._continue())
        except ServerError as error:
            if error.status != 404 or self._protocol.version is not None:
                raise
        # If this fails as well, the next call starts here again.
        self._unread, self.state = (self._prompt + self.text + self._stop.held)[-_CONTEXT_CHARS:], None
        yield from self._start()
        return (yield from self._continue())

    def _start(self) -> Steps[None]:
        metadata = yield from self._protocol.metadata()
        name = self._protocol.described(metadata.version)
        self._adapted = self._options.adapted(metadata.signatures, name)
        self.state = initial_state(metadata, self._adapted.state_signature)
        self._version = metadata.version

    def _continue(self) -> Steps[Generated]:
        try:
            return (yield from self._request(min(self._size, self._remaining)))
        except ServerError as error:
            found = CHUNK_LIMIT.search(error.message) if error.status == 400 else None
            limit = int(found[1]) if found else 0
            if not 0 < limit < min(self._size, self._remaining):
                raise
        self._largest = self._size = limit
        return (yield from self._request(limit))

    def _request(self, size: int) -> Steps[Generated]:
        assert self.state is not None
        options = replace(self._adapted, num_chars=size)
        (row,) = yield from self._protocol.generate_from_state([self._unread], [self.state], options, self._version)
        self.state = row.state
        self._unread = ""
        self._remaining -= size
        self._size = min(GROWTH * self._size, self._largest)
        return row.text
