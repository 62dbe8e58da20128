import numpy as np
import pytest

from tests import numeric
from tests.numeric import Noise

random = np.random.default_rng(1)


def normalized(x: np.ndarray) -> np.ndarray:
    return np.asarray((x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True))


@pytest.mark.parametrize("n", [1, 3, 100, 3_000])
def test_sum_in_any_order_is_within_the_bound_of_higham_and_mary(n: int) -> None:
    noise = Noise()
    a, b = (random.standard_normal(shape).astype(np.float32) for shape in ((5, n), (n, 4)))
    runs = noise.product(noise.runs(a), noise.runs(b))
    for order in (np.arange(n), np.arange(n)[::-1], random.permutation(n)):
        total = np.zeros((5, 4), np.float32)
        for i in order:
            total += a[:, i, None] * b[i]
        numeric.close(total, runs)
    stated = numeric.DEVIATIONS * n**0.5 * 2.0**-24 * (np.abs(a) @ np.abs(b))
    np.testing.assert_allclose(numeric.bound(runs), stated, rtol=1e-5)


@pytest.mark.parametrize("spread", [1.0, 1e-2, 1e-4])
def test_bound_grows_with_the_condition(spread: float) -> None:
    """Normalizing nearly constant values amplifies roundings by the ratio of their size to their deviation."""
    noise, x = Noise(), (1.0 + spread * random.standard_normal(50)).astype(np.float32)
    runs = normalized(noise(noise.runs(x)))
    # The same numbers with other roundings, as on another processor.
    numeric.close(normalized(x.astype(np.float64) * (1 + random.uniform(-1, 1, 50) / 2**24)), runs)
    deviation = numeric.DEVIATIONS / 2**24 / spread
    assert 0.3 * deviation < np.median(numeric.bound(runs)) < 3 * deviation


def test_error_beyond_rounding_fails_with_its_place_and_size() -> None:
    runs = Noise()(Noise().runs([[1.0, 2.0], [3.0, 4.0]]))
    numeric.close([[1.0, 2.0], [3.0, 4.0]], runs)
    numeric.close([[1.0, 2.0], [3.0 + 7 * 3 / 2**24, 4.0]], runs)
    message = r"state: 1 of 4 differ; the worst at \(1, 0\): 3.0+\d+ instead of 3, a difference of 1.6e-06 .* 1.4e-06"
    with pytest.raises(AssertionError, match=message):
        numeric.close([[1.0, 2.0], [3.0 + 9 * 3 / 2**24, 4.0]], runs, "state")
    with pytest.raises(AssertionError, match=r"1 of 4 differ; the worst at \(0, 1\): nan"):
        numeric.close([[1.0, np.nan], [3.0, 4.0]], runs)
    with pytest.raises(AssertionError, match=r"\(1, 2\) instead of \(2, 2\)"):
        numeric.close([[1.0, 2.0]], runs)


def test_results_without_rounding_are_exact() -> None:
    with pytest.raises(AssertionError, match="where rounding explains 0"):
        numeric.close([1e-9], Noise().runs([0.0]))
