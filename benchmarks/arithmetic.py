"""Pure arithmetic of the benchmarks: operations of a training step, medians and ratios."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from serving.graph.cells import KINDS


def products(model: Mapping[str, Any], vocabulary_size: int, batch: int, length: int) -> list[tuple[int, int, int]]:
    """Matrix products of one pass forward over a batch, each as (rows, inner, columns) over the whole window.

    The recurrent products have the same size, yet come one character at a time: `length` of them with `batch` rows.
    Looking a character's vector up is no product.
    """
    gates, units, features = KINDS[model["cell"]].gates, model["units"], model["embedding"]
    rows, shapes = batch * length, []
    for _ in range(model["layers"]):
        shapes += [(rows, features, gates * units), (rows, units, gates * units)]
        features = units
    return [*shapes, (rows, units, vocabulary_size)]


def operations(model: Mapping[str, Any], vocabulary_size: int, batch: int, length: int) -> int:
    """Floating-point operations of the matrix products of one training step.

    With G gates, U units, E features of a character, V ids, and L layers of which all but the first have U features:

        3 * 2 * batch * length * (G U (E + U) + (L - 1) G U (U + U) + U V)

    A multiplication and an addition are two operations, and the way back through a product is two products of the same
    size, one for each factor: three in all. What is done element by element is not counted, nor is the optimizer. It is
    what the plain network asks for: who comes to the same result with fewer (a table of the input's products, say) is
    credited with all of them.
    """
    return 3 * sum(
        2 * rows * inner * columns for rows, inner, columns in products(model, vocabulary_size, batch, length)
    )


def medians(turns: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of a contender's turns, each a total over `steps`: median wall and CPU seconds of a step, and the mean loss."""
    return {
        "wall": statistics.median(turn["wall"] / turn["steps"] for turn in turns),
        "cpu": statistics.median(turn["cpu"] / turn["steps"] for turn in turns),
        "loss": statistics.fmean(turn["loss"] for turn in turns),
    }


def ratio(other: Mapping[str, float], ours: Mapping[str, float], key: str) -> float:
    """How many times as much another takes."""
    return other[key] / ours[key]
