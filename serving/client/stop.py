"""End a text that arrives in chunks before the first occurrence of a stop text."""

from collections.abc import Iterable, Iterator


def until(chunks: Iterable[str], stop: str) -> Iterator[str]:
    """Yield the text before the first occurrence of `stop`, as soon as it cannot be a part of `stop`.

    Reads no further chunk after the occurrence. An empty `stop` never ends the text.
    """
    held = ""
    for chunk in chunks:
        held += chunk
        if stop and (at := held.find(stop)) >= 0:
            held = held[:at]
            break
        certain = len(held) - _partial_match(held, stop)
        if certain:
            yield held[:certain]
            held = held[certain:]
    if held:
        yield held


def _partial_match(text: str, stop: str) -> int:
    """Length of the longest end of `text` that is a beginning of `stop`."""
    longest = min(len(stop) - 1, len(text))
    return next((size for size in range(longest, 0, -1) if stop.startswith(text[-size:])), 0)
