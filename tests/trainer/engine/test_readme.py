"""The slow reference in the engine's README is the oracle of the engine's tests: `tests.reference` agrees with it."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.graph.cells import KINDS
from tests import reference

pytestmark = pytest.mark.integration
README = Path(__file__).resolve().parents[3] / "trainer" / "engine" / "README.md"
TIME, BATCH, FEATURES, UNITS = 4, 3, 2, 5


@pytest.fixture(scope="module")
def slow() -> Any:
    """The README's Python code."""
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {"tf": tf}
    exec(compile(code, str(README), "exec"), names)
    return SimpleNamespace(**names)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("cell", list(KINDS))
def test_outputs_states_and_gradients_of_the_reference_are_those_of_the_readme(
    cell: str, masked: bool, slow: Any
) -> None:
    random, kind, noise = np.random.default_rng(4), KINDS[cell], reference.Noise()
    shapes = [(TIME, BATCH, FEATURES), *[(BATCH, UNITS)] * kind.states]
    shapes += [(FEATURES, kind.gates * UNITS), (UNITS, kind.gates * UNITS), kind.bias_shape(UNITS)]
    given = [random.standard_normal(shape) for shape in shapes]
    mask = random.integers(0, 2, (BATCH, UNITS)) * 2.0 if masked else np.ones((BATCH, UNITS))

    def by_readme(x: Any, states: list[Any], weights: list[Any]) -> Any:
        return slow.layer(getattr(slow, cell), tf.unstack(x), states, *weights, mask)

    def by_reference(x: Any, states: list[Any], weights: list[Any]) -> Any:
        return reference.layer(noise, cell, x, states, weights, noise.given(mask) if masked else None)

    found = []
    for run, sources in (
        (by_readme, [tf.constant(value) for value in given]),
        (by_reference, [noise.given(value) for value in given]),
    ):
        with tf.GradientTape() as tape:
            tape.watch(sources)
            x, *states = sources[:-3]
            outputs, last = run(x, states, sources[-3:])
            total = tf.reduce_sum(outputs**2) + tf.add_n([tf.reduce_sum(state**3) for state in last])
        found.append([outputs, *last, *tape.gradient(total, sources)])
    for exact, runs in zip(*found, strict=True):
        np.testing.assert_allclose(runs[0], exact, rtol=1e-11, atol=1e-13)


def test_readme_has_the_equations_of_every_cell() -> None:
    assert re.findall(r"^### `(\w+)`$", README.read_text(encoding="utf-8"), re.MULTILINE) == list(KINDS)
