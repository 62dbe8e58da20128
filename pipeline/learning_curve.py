"""A picture of how training went, from the scalars that it wrote for TensorBoard."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Points = list[tuple[int, float]]  # step, nats per character
TRAIN, EVALUATION = "train/loss_nats", "eval/loss_nats"


@dataclass(frozen=True)
class Curves:
    """Losses in nats per character by step, in order; a step that was done again after a kill stands once."""

    train: Points
    evaluation: Points


def read(directory: str) -> Curves | None:
    """The curves in the event files below a directory; None if there is none."""
    from tensorboard.backend.event_processing import event_accumulator
    from tensorflow import make_ndarray  # TensorBoard's own fails with NumPy 2

    found: dict[str, dict[int, float]] = {TRAIN: {}, EVALUATION: {}}
    for folder in sorted({str(path.parent) for path in Path(directory).rglob("events.out.tfevents.*")}):
        events = event_accumulator.EventAccumulator(folder, size_guidance={event_accumulator.TENSORS: 0})
        events.Reload()
        for tag in set(found) & set(events.Tags()["tensors"]):
            for event in events.Tensors(tag):
                found[tag][event.step] = float(make_ndarray(event.tensor_proto))
    curves = Curves(*(sorted(points.items()) for points in found.values()))
    return curves if curves.train or curves.evaluation else None


def draw(curves: Curves, path: str, title: str, threshold: float) -> None:
    """Write the picture as PNG, whole or not at all.

    Args:
      threshold: perplexity at which a model is blessed, drawn as a line.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*zip(*curves.train), color="#9db7d5", linewidth=1, label="train, one batch")
    if curves.evaluation:
        axes.plot(*zip(*curves.evaluation), color="#c44e52", marker="o", markersize=4, label="eval")
        step, loss = min(curves.evaluation, key=lambda point: point[1])
        axes.annotate(
            f"{loss:.3f} nats\nperplexity {math.exp(loss):.2f}",
            (step, loss),
            xytext=(0, 12),
            textcoords="offset points",
            ha="right",
        )
    if math.isfinite(threshold):
        label = f"threshold, perplexity {threshold:.2f}"
        axes.axhline(math.log(threshold), color="#777777", linestyle=":", label=label)
    axes.set(xlabel="step", ylabel="nats per character", title=title)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper right")
    perplexities = axes.secondary_yaxis("right", functions=(_exp, _log))
    perplexities.set_ylabel("perplexity")
    partial = f"{path}.partial"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    figure.savefig(partial, format="png")
    os.replace(partial, path)


def _exp(nats: Any) -> Any:
    return np.exp(np.minimum(nats, 100.0))


def _log(perplexity: Any) -> Any:
    return np.log(np.maximum(perplexity, 1e-9))
