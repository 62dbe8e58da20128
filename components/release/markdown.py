"""Markdown of texts that may contain markup."""

from collections.abc import Sequence
from typing import Any


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table; empty without rows.

    >>> print(table(("figure", "value"), [("perplexity", 4.25)]))
    | figure | value |
    | --- | --- |
    | perplexity | 4.25 |
    """
    if not rows:
        return ""
    lines = [header, ["---"] * len(header), *([_shown(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.5g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else inline(str(value))


def inline(text: str) -> str:
    r"""Return a text in which Markdown finds no markup, on one line.

    >>> print(inline("a_b.txt"))
    a\_b.txt
    """
    escaped = "".join(f"\\{character}" if character in "\\`*_{}[]<>()#+!|&~$" else character for character in text)
    return " ".join(escaped.split())


def fenced(text: str, language: str = "text") -> str:
    """Return a block of code, whose fence is longer than any run of backticks in the text."""
    longest = max((len(run) for run in "".join(c if c == "`" else " " for c in text).split()), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
