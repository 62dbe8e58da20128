"""Bounds on rounding errors that hold on any processor.

Processors differ in the order of additions, in fused multiply-add, and in how they approximate functions, so a result
on one processor does not predict the result on another. The standard model holds for all of them: the result of an
operation is the exact one times `1 + d`, where `|d|` is at most the unit roundoff `u`. A float64 reference that applies
such a factor to each intermediate result measures the condition of the computation (Monte Carlo arithmetic: Parker
1997). Random signs suffice: if the `d` are independent with mean zero, an error exceeds `k` standard deviations of one
made of `+u` and `-u` with a probability of at most `2 exp(-k**2 / 2)` (Hoeffding). This is the argument of Higham and
Mary (2019) for `sqrt(n) u` instead of `n u` in a sum of `n` products. Repeated roundings, such as that of a weight,
must be applied where they occur: once, before the weight is used several times.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

UNIT = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
# 2 exp(-32) for each compared number. Six would suffice; the rest allows for deviations estimated from `SAMPLES` runs.
DEVIATIONS = 8.0
SAMPLES = 24
# Error of tanh, exp, and log in float32 libraries, in units of roundoff.
FUNCTION = 5.0


class Noise:
    """Applies roundings to arrays whose first axis counts runs: the first is exact, `SAMPLES` others are rounded.

    Attributes:
      unit: roundoff of all operations, including the additions of a product.
      products: roundoff of the type that stores factors and results of matrix products.
      samples: number of rounded runs.
    """

    def __init__(
        self, unit: float = UNIT["float32"], products: float | None = None, samples: int = SAMPLES, seed: int = 0
    ) -> None:
        self.unit, self.products, self.samples = unit, unit if products is None else products, samples
        self._random = np.random.default_rng(seed)

    def signs(self, shape: Any) -> Array:
        """Return random signs (runs, ...), zero for the exact run."""
        if not self.samples:
            return np.zeros(1)
        signs = self._random.integers(0, 2, (self.samples + 1, *tuple(shape)[1:]), np.int8) * 2.0 - 1.0
        signs[0] = 0.0
        return signs

    def runs(self, x: Any) -> Array:
        """Repeat an array for each run."""
        return np.repeat(np.asarray(x, np.float64)[None], self.samples + 1, 0)

    def __call__(self, x: Any, units: float = 1.0) -> Any:
        """Round a result with an error of this many units of roundoff."""
        return x * (1.0 + units * self.unit * self.signs(x.shape))

    def product(self, a: Any, b: Any) -> Any:
        """Return `a @ b` added in any order: each addition rounds a partial sum, which is at most `|a| @ |b|`."""
        exact = a @ b
        return exact + float(a.shape[-1]) ** 0.5 * self.unit * (abs(a) @ abs(b)) * self.signs(exact.shape)


def bound(runs: Any) -> Array:
    """Return the largest distance from the exact run that rounding explains, from the runs of a reference."""
    exact, *rounded = np.asarray(runs, np.float64)
    return DEVIATIONS * np.sqrt(np.mean(np.square(np.subtract(rounded, exact)), 0))


def relative(operations: int, condition: float = 1.0, unit: float = UNIT["float32"]) -> float:
    """Return the relative error bound of a number after this many operations on numbers of one sign.

    Args:
      operations: number of operations.
      condition: factor by which an operation amplifies the relative error of its operand.
      unit: roundoff.
    """
    return DEVIATIONS * float(operations) ** 0.5 * condition * unit


def close(actual: Any, runs: Any, what: str = "result") -> None:
    """Fail if a result is farther from the exact run than rounding explains; the message names the worst place."""
    exact, allowed = np.asarray(runs, np.float64)[0], bound(runs)
    found = np.asarray(actual, np.float64)
    assert found.shape == exact.shape, f"{what}: {found.shape} instead of {exact.shape}"
    error = np.abs(found - exact)
    wrong = ~(error <= allowed)  # also true for NaN
    if not wrong.any():
        return
    excess = np.where(np.isnan(error), np.inf, error - allowed)
    at = np.unravel_index(np.argmax(excess), excess.shape)
    raise AssertionError(
        f"{what}: {wrong.sum()} of {wrong.size} differ; the worst at {tuple(map(int, at))}: {found[at]:.9g} instead of "
        f"{exact[at]:.9g}, a difference of {error[at]:.2g} where rounding explains {allowed[at]:.2g}"
    )
