"""Perplexity of a language model."""

import math


def from_nats(nats: float) -> float:
    """Compute exp(nats), nats being the cross-entropy per character.

    Returns:
      Infinity where that overflows, and for NaN: a model without a figure is never good enough.

    >>> round(from_nats(1.5), 3)
    4.482
    """
    return math.exp(nats) if nats <= 709 else math.inf
