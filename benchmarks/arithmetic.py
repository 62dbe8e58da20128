"""Arithmetic of the benchmarks: operations of a training step, medians, and ratios."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from serving.graph.cells import KINDS


def products(model: Mapping[str, Any], vocabulary_size: int, batch: int, length: int) -> list[tuple[int, int, int]]:
    """Return the matrix products of one forward pass over a batch, as (rows, inner, columns) over the entire window.

    A recurrent product of this size is computed one character at a time: `length` products with `batch` rows.
    The embedding lookup is not a product.
    """
    gates, units, features = KINDS[model["cell"]].gates, model["units"], model["embedding"]
    rows, shapes = batch * length, []
    for _ in range(model["layers"]):
        shapes += [(rows, features, gates * units), (rows, units, gates * units)]
        features = units
    return [*shapes, (rows, units, vocabulary_size)]


def operations(model: Mapping[str, Any], vocabulary_size: int, batch: int, length: int) -> int:
    """Count the floating-point operations of the matrix products of one training step.

    With G gates, U units, E features of a character, V ids, and L layers of which all but the first have U features:

        3 * 2 * batch * length * (G U (E + U) + (L - 1) G U (U + U) + U V)

    A multiplication and an addition are two operations. The backward pass of a product is two products of the same
    size, one for each factor: three in all. Elementwise operations and the optimizer are not counted. The formula is
    that of the plain network: an implementation that needs fewer operations (for example with a lookup table of input
    products) is credited with all of them.
    """
    return 3 * sum(
        2 * rows * inner * columns for rows, inner, columns in products(model, vocabulary_size, batch, length)
    )


def medians(turns: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return median wall and CPU seconds per step, and the mean loss, of turns that are totals over `steps`."""
    return {
        "wall": statistics.median(turn["wall"] / turn["steps"] for turn in turns),
        "cpu": statistics.median(turn["cpu"] / turn["steps"] for turn in turns),
        "loss": statistics.fmean(turn["loss"] for turn in turns),
    }


def ratio(other: Mapping[str, float], ours: Mapping[str, float], key: str) -> float:
    """Return how many times as much as `ours` another implementation takes."""
    return other[key] / ours[key]
