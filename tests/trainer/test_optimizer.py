import math
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.config.training import TrainingConfig
from tests import numeric
from trainer import optimizer
from trainer.model import LanguageModel

pytestmark = pytest.mark.integration

TRAINING: dict[str, Any] = {
    "optimizer": "adamw",
    "learning_rate": 1.0,
    "schedule": "constant",
    "final_fraction": 0.1,
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "beta_2": 0.99,
    "epsilon": 1e-8,
    "clip_norm": 0.0,
}
# With s = sqrt(1 - beta_2) Keras' first step of Adam is learning_rate * gradient * s / (s * |gradient| + epsilon); by
# these settings it is the gradient itself.
PLAIN_STEP = {"learning_rate": 1e6, "epsilon": 1e5, "beta_2": 0.99}

# Ten operations in float32, and at the cosine's end a sum ten times as small as what it adds up.
RATE = numeric.relative(10, condition=10)
# Twenty, among them the square root of 1 - beta_2, which is off by half of beta_2 / (1 - beta_2) = 100 roundings.
ADAM = numeric.relative(20, condition=50)


def training(**changes: Any) -> TrainingConfig:
    return TrainingConfig(**{**TRAINING, **changes})


def schedule(total_steps: int, **changes: Any) -> Any:
    return optimizer.learning_rate(training(**{"schedule": "cosine", **changes}), total_steps)


def values(rate: Any, *steps: int) -> list[float]:
    return [float(rate(step)) for step in steps]


def stepped(
    variables: list[keras.Variable], gradients: list[Any], replicas: int, precision: str, **changes: Any
) -> Any:
    """Take one step, with gradients scaled as the loss is."""
    made = optimizer.create(training(**changes), total_steps=10, replicas=replicas, precision=precision)
    made.build(variables)
    made.apply([tf.constant(made.scale_loss(tf.constant(gradient))) for gradient in gradients], variables)
    return made


def test_constant_rate_is_the_peak() -> None:
    assert optimizer.learning_rate(training(learning_rate=0.003, warmup_steps=5), 100) == 0.003


def test_rate_rises_linearly_and_falls_along_half_a_cosine() -> None:
    rate = schedule(110, learning_rate=0.5, warmup_steps=10)
    assert values(rate, 0, 1, 5, 9) == pytest.approx([0.0, 0.05, 0.25, 0.45], rel=RATE)
    quarter = 0.5 * (0.9 * (1 + math.cos(math.pi / 4)) / 2 + 0.1)
    assert values(rate, 10, 35, 60, 110, 200) == pytest.approx([0.5, quarter, 0.5 * 0.55, 0.05, 0.05], rel=RATE)


def test_without_warm_up_the_first_step_has_the_peak() -> None:
    assert values(schedule(100, learning_rate=0.5), 0, 50, 100) == pytest.approx([0.5, 0.275, 0.05], rel=RATE)


def test_warm_up_takes_at_most_half_of_a_short_run() -> None:
    assert values(schedule(10, warmup_steps=50), 0, 1, 5, 10) == pytest.approx([0.0, 0.2, 1.0, 0.1], rel=RATE)


@pytest.mark.parametrize("total_steps", [1, 2, 3])
def test_shortest_runs_have_a_finite_rate(total_steps: int) -> None:
    rates = values(schedule(total_steps, warmup_steps=50), *range(total_steps + 1))
    assert all(0.0 <= rate <= 1.0 for rate in rates)
    assert max(rates) == 1.0


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize(
    ("clip_norm", "replicas", "norm"), [(0.0, 1, 5.0), (10.0, 1, 5.0), (2.0, 1, 2.0), (2.0, 4, 0.5), (0.0, 4, 5.0)]
)
def test_clipping_bounds_the_norm_of_all_gradients_together(
    clip_norm: float, replicas: int, norm: float, precision: str
) -> None:
    variables = [keras.Variable(np.zeros((1, 2))), keras.Variable(np.zeros(1))]
    gradients = [[[3.0, 0.0]], [-4.0]]  # of norm 5
    stepped(variables, gradients, replicas, precision, clip_norm=clip_norm, **PLAIN_STEP)
    moved = np.concatenate([variable.numpy().ravel() for variable in variables])
    left = 5.0 * 0.1 / 1e5  # what the root of the gradient's square takes from it beside epsilon
    np.testing.assert_allclose(moved, np.array([-3.0, 0.0, 4.0]) * norm / 5.0, rtol=ADAM + left)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_weights_decay_and_biases_do_not(precision: str) -> None:
    model = LanguageModel(5, 4, 6, 2)
    for variable in model.trainable_variables:
        variable.assign(tf.ones(variable.shape))
    gradients = [tf.zeros(variable.shape) for variable in model.trainable_variables]
    stepped(model.trainable_variables, gradients, 1, precision, learning_rate=0.5, weight_decay=0.1)
    matrices = [model.embedding.embeddings, model.projection.kernel]
    biases = [model.projection.bias]
    for layer in model.recurrent:
        matrices += [layer.cell.kernel, layer.cell.recurrent_kernel]
        biases += [layer.cell.bias]
    assert len(matrices) + len(biases) == len(model.trainable_variables)
    for variable in matrices:
        np.testing.assert_allclose(variable.numpy(), 1 - 0.5 * 0.1, rtol=numeric.relative(4))
    for variable in biases:
        np.testing.assert_array_equal(variable.numpy(), 1.0)


def test_adam_decays_nothing() -> None:
    weight = keras.Variable(np.ones((2, 2)))
    stepped([weight], [np.zeros((2, 2), np.float32)], 1, "float32", optimizer="adam", weight_decay=0.1)
    np.testing.assert_array_equal(weight.numpy(), 1.0)


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_configured_values_reach_the_optimizer(kind: str) -> None:
    # Two steps, gradients 1 and then 0, as Keras defines Adam; its beta_1 is always 0.9.
    weight = keras.Variable(np.zeros(1))
    made = stepped([weight], [[1.0]], 1, "float32", optimizer=kind, beta_2=0.8, epsilon=0.5, learning_rate=0.2)
    first = 0.2 * math.sqrt(0.2) / (math.sqrt(0.2) + 0.5)
    assert weight.numpy() == pytest.approx(-first, rel=ADAM)
    made.apply([tf.constant([0.0])], [weight])
    mean, square = 0.9 * 0.1, 0.8 * 0.2
    second = 0.2 * math.sqrt(1 - 0.8**2) / (1 - 0.9**2) * mean / (math.sqrt(square) + 0.5)
    assert weight.numpy() == pytest.approx(-first - second, rel=ADAM)


def test_only_float16_scales_the_loss_and_skips_a_step_that_overflows() -> None:
    for precision, scales in (("float32", False), ("bfloat16", False), ("float16", True)):
        made = optimizer.create(training(), 10, 1, precision)
        assert isinstance(made, keras.optimizers.LossScaleOptimizer) == scales
    weight = keras.Variable(np.ones(2))
    made = stepped([weight], [[math.inf, 1.0]], 1, "float16")
    np.testing.assert_array_equal(weight.numpy(), 1.0)
    made.apply([made.scale_loss(tf.constant([0.5, -0.5]))], [weight])
    np.testing.assert_allclose(weight.numpy(), [0.0, 2.0], atol=ADAM)


def test_schedule_advances_with_the_steps() -> None:
    weight = keras.Variable(np.zeros(1))
    made = stepped([weight], [[1.0]], 1, "float32", schedule="cosine", warmup_steps=5, weight_decay=0.0)
    assert weight.numpy() == 0.0  # the warm-up starts at zero
    made.apply([tf.constant([1.0])], [weight])
    assert weight.numpy() == pytest.approx(-0.2, rel=ADAM)
