"""Samples follow the softmax; random numbers follow the published generator, from each row's seed and position."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.graph import sampling

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("without_graph_optimizer")]

MASK = 2**64 - 1
LOGITS = np.array([1.3, -0.7, 2.1, 0.0, 2.6, -3.0, 1.9], np.float32)
INT64 = st.integers(-(2**63), 2**63 - 1)


def mixed(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


class SplitMix64:
    """The reference implementation by Vigna: a counter that steps by the golden ratio, mixed."""

    def __init__(self, state: int) -> None:
        self.state = state & MASK

    def next(self) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        return mixed(self.state)


def reference(seed: int, count: int) -> list[float]:
    """A sequence whose starting state is the first output of the generator with that seed."""
    generator = SplitMix64(SplitMix64(seed).next())
    return [(generator.next() >> 40) / 2**24 for _ in range(count)]


def uniforms(seeds: list[int], positions: list[int], count: int) -> NDArray[np.float32]:
    made = sampling.uniforms(tf.constant(seeds, tf.int64), tf.constant(positions, tf.int64), tf.constant(count))
    return np.asarray(made)


# uniforms


def test_the_reference_is_splitmix64_as_published() -> None:
    generator = SplitMix64(1234567)
    assert [generator.next() for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@given(st.lists(INT64, min_size=1, max_size=4), st.integers(1, 20))
def test_random_numbers_are_those_of_splitmix64(seeds: list[int], count: int) -> None:
    expected = np.transpose([reference(seed, count) for seed in seeds])
    np.testing.assert_array_equal(uniforms(seeds, [0] * len(seeds), count), expected)


@given(INT64, st.integers(0, 2**24), st.integers(1, 8), st.integers(1, 8))
def test_sequence_continues_from_any_position(seed: int, position: int, first: int, second: int) -> None:
    whole = uniforms([seed], [position], first + second)
    np.testing.assert_array_equal(uniforms([seed], [position], first), whole[:first])
    np.testing.assert_array_equal(uniforms([seed], [position + first], second), whole[first:])


@given(st.lists(st.tuples(INT64, st.integers(0, 2**24)), min_size=1, max_size=5))
def test_row_has_the_same_numbers_alone_and_among_others(rows: list[tuple[int, int]]) -> None:
    together = uniforms([seed for seed, _ in rows], [position for _, position in rows], 6)
    for column, (seed, position) in zip(together.T, rows):
        np.testing.assert_array_equal(column, uniforms([seed], [position], 6)[:, 0])


def test_random_numbers_are_uniform_and_independent_between_adjacent_seeds() -> None:
    columns = uniforms([5, 6], [0, 0], 20_000)
    assert columns.min() >= 0
    assert columns.max() < 1
    for column in columns.T:
        counts, _ = np.histogram(column, 20, (0, 1))
        assert chi_squared(counts, np.full(20, 1000.0)) < 43.8  # 0.1 % of 19 degrees of freedom
    for lag in (0, 1):
        assert abs(np.corrcoef(columns[lag:, 0], columns[: len(columns) - lag, 1])[0, 1]) < 0.03


# sample and sample_limited


def chi_squared(counts: NDArray[np.int64], expected: NDArray[np.float64]) -> float:
    return float(np.sum((counts - expected) ** 2 / expected))


def softmax(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max())
    return np.asarray(powers / powers.sum())


def sample(
    logits: NDArray[np.float32],
    temperature: float,
    top_k: int | None,
    uniform: NDArray[np.float32],
    top_p: float | None = None,
) -> NDArray[np.int32]:
    """Take one sample for each uniform number from the same logits; top_k None: the function without it."""
    rows = len(uniform)
    repeated, temperatures = tf.constant(np.tile(logits, (rows, 1))), tf.fill([rows], np.float32(temperature))
    if top_k is None:
        return np.asarray(sampling.sample(repeated, temperatures, tf.constant(uniform)))
    limits = tf.fill([rows], top_k), None if top_p is None else tf.fill([rows], np.float32(top_p))
    return np.asarray(sampling.sample_limited(repeated, temperatures, *limits, tf.constant(uniform)))


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
@pytest.mark.parametrize("top_k", [None, 0, 2, 4, 7, 100])
def test_frequencies_of_samples_follow_the_softmax(temperature: float, top_k: int | None) -> None:
    count = 20_000
    kept = LOGITS.copy()
    if top_k:
        kept[np.argsort(-LOGITS)[top_k:]] = -np.inf
    expected = softmax(kept, temperature) * count
    counts = np.bincount(sample(LOGITS, temperature, top_k, uniforms([17], [0], count)[:, 0]), minlength=len(LOGITS))
    assert counts[expected == 0].sum() == 0
    # Critical values of 0.1 % for as many degrees of freedom.
    critical = {1: 10.83, 3: 16.27, 6: 22.46}[int((expected > 0).sum()) - 1]
    assert chi_squared(counts[expected > 0], expected[expected > 0]) < critical


@settings(max_examples=50)
@given(
    st.lists(st.integers(-60, 60), min_size=1, max_size=12, unique=True),
    st.floats(0, 1, exclude_max=True, width=32),
    st.floats(0.125, 100, width=32),
)
def test_top_1_and_temperature_0_give_the_most_likely(logits: list[int], uniform: float, temperature: float) -> None:
    values, random = np.array(logits, np.float32) / 4, np.array([uniform], np.float32)
    best = int(np.argmax(values))
    assert sample(values, temperature, 1, random)[0] == best
    assert sample(values, 0.0, None, random)[0] == best
    assert sample(values, 0.0, 0, random)[0] == best
    assert sample(values, 0.0, 3, random)[0] == best


@settings(max_examples=50)
@given(
    st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=8),
    st.floats(0, 1, exclude_max=True, width=32),
    st.floats(0, 100, width=32),
    st.integers(0, 10),
)
def test_sampled_character_exists_and_is_possible_for_any_logits(
    logits: list[float], uniform: float, temperature: float, top_k: int
) -> None:
    values = np.array(logits, np.float32)
    for sampled in (
        sample(values, temperature, None, np.array([uniform], np.float32))[0],
        sample(values, temperature, top_k, np.array([uniform], np.float32))[0],
    ):
        assert 0 <= sampled < len(values)
        # No more than 104 (the range of float32's exponential) temperatures below the best.
        assert values.max() - values[sampled] <= 104 * max(temperature, 1e-6) * 1.01


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-24])
def test_ends_of_the_unit_interval_give_possible_characters(uniform: float) -> None:
    logits = np.array([-500.0, 1.0, 2.0, -500.0], np.float32)
    expected = 1 if uniform == 0 else 2
    assert sample(logits, 1.0, None, np.array([uniform], np.float32))[0] == expected


@pytest.mark.parametrize("top_k", [7, 8, 1000])
def test_top_k_of_the_vocabulary_size_samples_as_without_top_k(top_k: int) -> None:
    random = uniforms([3], [0], 2000)[:, 0]
    free = sample(LOGITS, 1.0, None, random)
    np.testing.assert_array_equal(sample(LOGITS, 1.0, top_k, random), free)
    # Not for every limit: below it the order is by likelihood, so the same random number is another character.
    assert (sample(LOGITS, 1.0, 6, random) != free).any()


def test_rows_with_and_without_top_k_do_not_change_each_other() -> None:
    random = np.random.default_rng(4)
    logits = tf.constant(random.standard_normal((200, 7)), tf.float32)
    temperature = tf.constant(random.uniform(0.5, 2, 200), tf.float32)
    uniform = tf.constant(random.random(200), tf.float32)
    top_k = tf.constant(random.integers(0, 4, 200), tf.int32)
    together = sampling.sample_limited(logits, temperature, top_k, None, uniform).numpy()
    free = top_k.numpy() == 0
    np.testing.assert_array_equal(together[free], sampling.sample(logits, temperature, uniform).numpy()[free])
    all_of_them = sampling.sample_limited(logits, temperature, tf.maximum(top_k, 1), None, uniform).numpy()
    np.testing.assert_array_equal(together[~free], all_of_them[~free])


# top_p


def nucleus(temperature: float, top_k: int, top_p: float) -> NDArray[np.float64]:
    """Probabilities of the fewest most likely characters that reach `top_p`, in plain loops."""
    order = sorted(range(len(LOGITS)), key=lambda i: -LOGITS[i])[: top_k or None]
    kept = np.full(len(LOGITS), -np.inf)
    kept[order] = LOGITS[order]
    probabilities, total = softmax(kept.astype(np.float32), temperature), 0.0
    expected = np.zeros(len(LOGITS))
    for i in order:
        expected[i] = probabilities[i]
        total += probabilities[i]
        if total >= top_p:
            break
    return np.asarray(expected / expected.sum())


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [(1.0, 0, 0.8), (2.5, 0, 0.95), (0.7, 0, 0.6), (1.0, 4, 0.7), (3.0, 5, 0.999), (1.0, 3, 1.0), (1.0, 0, 1e-30)],
)
def test_frequencies_follow_the_nucleus(temperature: float, top_k: int, top_p: float) -> None:
    count = 20_000
    expected = nucleus(temperature, top_k, top_p) * count
    sampled = sample(LOGITS, temperature, top_k, uniforms([18], [0], count)[:, 0], top_p)
    counts = np.bincount(sampled, minlength=len(LOGITS))
    possible = expected > 0
    assert not counts[~possible].any()
    # Critical values of 0.1 % for as many degrees of freedom.
    critical = [1e-9, 10.83, 13.82, 16.27, 18.47, 20.52, 22.46][int(possible.sum()) - 1]
    assert chi_squared(counts[possible], expected[possible]) <= critical


def test_top_p_1_samples_as_without_top_p() -> None:
    random = uniforms([3], [0], 2000)[:, 0]
    for top_k in (0, 3, 7):
        np.testing.assert_array_equal(sample(LOGITS, 1.0, top_k, random, 1.0), sample(LOGITS, 1.0, top_k, random))
        assert (sample(LOGITS, 1.0, top_k, random, 0.7) != sample(LOGITS, 1.0, top_k, random)).any()
