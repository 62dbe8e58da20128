"""The Keras optimizer of a training configuration."""

from typing import Any

import keras

from pipeline.config.training import TrainingConfig


def create(
    training: TrainingConfig, total_steps: int, replicas: int, precision: str, decay_steps: Any = None
) -> keras.optimizers.Optimizer:
    """Build the optimizer with its learning-rate schedule and gradient clipping.

    Each replica passes the gradient that is already summed over all replicas and divided by their number, and Keras
    sums once more. Keras clips before that sum, so the bound is divided as well.

    Args:
      total_steps: steps of the complete run, the length of a cosine schedule.
      replicas: devices that train together.
      precision: "float16" adds dynamic loss scaling.
      decay_steps: a variable for the steps of the cosine after the warm-up, which may change; None: from `total_steps`.
    """
    kind = {"adamw": keras.optimizers.AdamW, "adam": keras.optimizers.Adam}[training.optimizer]
    settings: dict[str, Any] = {
        "learning_rate": learning_rate(training, total_steps, decay_steps),
        "beta_2": training.beta_2,
        "epsilon": training.epsilon,
    }
    if training.clip_norm:
        settings["global_clipnorm"] = training.clip_norm / replicas
    if training.optimizer == "adamw":
        settings["weight_decay"] = float(training.weight_decay)
    optimizer = kind(**settings)
    if training.optimizer == "adamw":
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    return keras.optimizers.LossScaleOptimizer(optimizer) if precision == "float16" else optimizer


def learning_rate(
    training: TrainingConfig, total_steps: int, decay_steps: Any = None
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return a constant, or linear warm-up followed by half a cosine down to `final_fraction` of the peak."""
    peak = training.learning_rate
    if training.schedule == "constant":
        return peak
    warmup, decay = schedule_steps(training, total_steps)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else peak,
        decay_steps=decay if decay_steps is None else decay_steps,
        alpha=training.final_fraction,
        warmup_target=peak if warmup else None,
        warmup_steps=warmup,
    )


def schedule_steps(training: TrainingConfig, total_steps: int) -> tuple[int, int]:
    """Return the steps of the warm-up and of the cosine after it."""
    warmup = min(training.warmup_steps, total_steps // 2)
    return warmup, max(1, total_steps - warmup)
