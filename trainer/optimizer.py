"""The Keras optimizer of a training configuration."""

import math
from typing import Any

import keras

from pipeline.config.run import TrainingConfig


def create(training: TrainingConfig, total_steps: int, replicas: int, precision: str) -> keras.optimizers.Optimizer:
    """Build the optimizer with its learning-rate schedule and gradient clipping.

    Each replica passes the gradient that is already summed over all replicas and divided by their number, and Keras
    sums once more. Keras clips before that sum, so the bound is divided as well.

    Args:
      total_steps: steps of the complete run, the length of a cosine schedule.
      replicas: devices that train together.
      precision: "float16" adds dynamic loss scaling.
    """
    kind = {"adamw": keras.optimizers.AdamW, "adam": keras.optimizers.Adam}[training.optimizer]
    settings: dict[str, Any] = {
        "learning_rate": learning_rate(training, total_steps),
        "beta_2": training.beta_2,
        "epsilon": training.epsilon,
    }
    if training.clip_norm:
        settings["global_clipnorm"] = training.clip_norm / replicas
    if training.optimizer == "adamw":
        settings["weight_decay"] = training.weight_decay
    optimizer = kind(**settings)
    if training.optimizer == "adamw":
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    return keras.optimizers.LossScaleOptimizer(optimizer) if precision == "float16" else optimizer


def learning_rate(
    training: TrainingConfig, total_steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return a constant, or linear warm-up followed by half a cosine down to `final_fraction` of the peak."""
    peak = training.learning_rate
    if training.schedule == "constant":
        return peak
    warmup = min(training.warmup_steps, total_steps // 2)
    return _WarmUpAndCosine(peak, warmup, max(1, total_steps - warmup), training.final_fraction)


class _WarmUpAndCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Values of Keras' `CosineDecay` with a warm-up from zero, without its branches.

    For weight decay, Keras traces the schedule once for each matrix. With branches, that was a third of the time to
    trace a training step.
    """

    def __init__(self, peak: float, warmup: int, decay_steps: int, final_fraction: float) -> None:
        super().__init__()
        self._peak, self._warmup, self._decay_steps, self._final_fraction = peak, warmup, decay_steps, final_fraction

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32")
        progress = keras.ops.clip((step - self._warmup) / self._decay_steps, 0.0, 1.0)
        cosine = 0.5 * (1.0 + keras.ops.cos(math.pi * progress))
        rate = (1.0 - self._final_fraction) * cosine + self._final_fraction
        return self._peak * (keras.ops.minimum(step / self._warmup, rate) if self._warmup else rate)
