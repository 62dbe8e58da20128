"""How far a result may lie from the exact one because its arithmetic rounds, on any processor.

Processors differ in the order in which they add, in fused multiplication and addition, and in how they approximate
functions, so what one of them gives says nothing about another. What holds for all of them is the standard model: an
operation's result is the exact one times `1 + d`, `|d|` at most the unit roundoff `u`. A reference in float64 that puts
such a factor on each of its intermediate results shows how much they matter, which is the condition of what is computed
(Monte Carlo arithmetic: Parker 1997). Random signs are what makes that enough: if the `d` have mean zero and do not
depend on each other, an error exceeds `k` standard deviations of one made of `+u` and `-u` with a probability of
at most `2 exp(-k**2 / 2)` (Hoeffding), which is the argument of Higham and Mary (2019) for `sqrt(n) u` in place of
`n u` in the sum of `n` products. Roundings that repeat each other, such as those of a weight, have to be put where they
happen: once, before the weight is used several times.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

UNIT = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
# 2 exp(-32) for each number that is compared. Six would do; the rest is for deviations known from `SAMPLES` only.
DEVIATIONS = 8.0
SAMPLES = 24
# Of the hyperbolic tangent, exponential and logarithm in float32 libraries, in units of roundoff.
FUNCTION = 5.0


class Noise:
    """Puts roundings on arrays whose first axis counts runs: the first of them exact, `SAMPLES` others rounded.

    Attributes:
      unit: roundoff of all operations, among them what a product adds up.
      products: that of the type in which factors and results of matrix products are stored.
      samples: runs that are rounded.
    """

    def __init__(
        self, unit: float = UNIT["float32"], products: float | None = None, samples: int = SAMPLES, seed: int = 0
    ) -> None:
        self.unit, self.products, self.samples = unit, unit if products is None else products, samples
        self._random = np.random.default_rng(seed)

    def signs(self, shape: Any) -> Array:
        """Plus and minus one in (runs, ...), and nothing for the exact run."""
        if not self.samples:
            return np.zeros(1)
        signs = self._random.integers(0, 2, (self.samples + 1, *tuple(shape)[1:]), np.int8) * 2.0 - 1.0
        signs[0] = 0.0
        return signs

    def runs(self, x: Any) -> Array:
        """What is given, for each run."""
        return np.repeat(np.asarray(x, np.float64)[None], self.samples + 1, 0)

    def __call__(self, x: Any, units: float = 1.0) -> Any:
        """The result of an operation that is wrong by so many units of roundoff."""
        return x * (1.0 + units * self.unit * self.signs(x.shape))

    def product(self, a: Any, b: Any) -> Any:
        """`a @ b`, added up in any order: each of the additions rounds a partial sum, which is at most `|a| @ |b|`."""
        exact = a @ b
        return exact + float(a.shape[-1]) ** 0.5 * self.unit * (abs(a) @ abs(b)) * self.signs(exact.shape)


def bound(runs: Any) -> Array:
    """How far from the exact run a rounded result may lie, from what the runs of a reference gave."""
    exact, *rounded = np.asarray(runs, np.float64)
    return DEVIATIONS * np.sqrt(np.mean(np.square(np.subtract(rounded, exact)), 0))


def relative(operations: int, condition: float = 1.0, unit: float = UNIT["float32"]) -> float:
    """How far off a number may be, relative to itself, after so many operations on numbers of one sign.

    Args:
      condition: by how much an operation's result may be off more than its operand was, relative to themselves.
    """
    return DEVIATIONS * float(operations) ** 0.5 * condition * unit


def close(actual: Any, runs: Any, what: str = "result") -> None:
    """Refuse a result that lies farther from the exact run than rounding explains, and say where."""
    exact, allowed = np.asarray(runs, np.float64)[0], bound(runs)
    found = np.asarray(actual, np.float64)
    assert found.shape == exact.shape, f"{what}: {found.shape} instead of {exact.shape}"
    error = np.abs(found - exact)
    wrong = ~(error <= allowed)  # what is not a number, too
    if not wrong.any():
        return
    excess = np.where(np.isnan(error), np.inf, error - allowed)
    at = np.unravel_index(np.argmax(excess), excess.shape)
    raise AssertionError(
        f"{what}: {wrong.sum()} of {wrong.size} differ; the worst at {tuple(map(int, at))}: {found[at]:.9g} instead of "
        f"{exact[at]:.9g}, a difference of {error[at]:.2g} where rounding explains {allowed[at]:.2g}"
    )
