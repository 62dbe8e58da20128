"""End a text that comes in chunks before the first occurrence of a stop text."""

from collections.abc import Iterable, Iterator


def until(chunks: Iterable[str], stop: str) -> Iterator[str]:
    """The chunks' text before the first occurrence of `stop`, as early as it is certain not to belong to it.

    No further chunk is taken after the occurrence. An empty `stop` stops nothing.
    """
    held = ""
    for chunk in chunks:
        held += chunk
        if stop and (at := held.find(stop)) >= 0:
            held = held[:at]
            break
        certain = len(held) - _begun(held, stop)
        if certain:
            yield held[:certain]
            held = held[certain:]
    if held:
        yield held


def _begun(text: str, stop: str) -> int:
    """How many of the last characters of `text` may be the beginning of `stop`."""
    longest = min(len(stop) - 1, len(text))
    return next((size for size in range(longest, 0, -1) if stop.startswith(text[-size:])), 0)
