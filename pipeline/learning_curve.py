"""Plot of the losses of a training run, from the scalars that it wrote for TensorBoard."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components import files
from components.evaluate.perplexity import from_nats

Points = list[tuple[int, float]]  # step, nats per character
TRAIN, EVALUATION = "train/loss_nats", "eval/loss_nats"


@dataclass(frozen=True)
class Curves:
    """Losses in nats per character, by step in ascending order. Steps that were repeated after a kill appear once."""

    train: Points
    evaluation: Points


def read(directory: str) -> Curves | None:
    """Return the curves in the event files below a directory; None if there are none."""
    found: dict[str, dict[int, float]] = {TRAIN: {}, EVALUATION: {}}
    for path in sorted(Path(directory).rglob("events.out.tfevents.*"), key=lambda path: path.name):
        for tag, step, value in _scalars(str(path)):
            if tag in found:
                found[tag][step] = value
    curves = Curves(*(sorted(points.items()) for points in found.values()))
    return curves if curves.train or curves.evaluation else None


def _scalars(path: str) -> Iterator[tuple[str, int, float]]:
    """Yield tag, step and value of each scalar in an event file, up to where a kill truncated it."""
    import tensorflow as tf
    from tensorflow.core.util import event_pb2

    try:
        for record in tf.data.TFRecordDataset(path):
            event = event_pb2.Event.FromString(record.numpy())
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    yield value.tag, event.step, float(tf.make_ndarray(value.tensor))
    except tf.errors.DataLossError:
        return


def plot(curves: Curves, path: str, title: str, threshold: float) -> None:
    """Write the plot as a PNG file.

    Args:
      threshold: highest perplexity of a blessed model, shown as a line.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*zip(*curves.train), color="#9db7d5", linewidth=1, label="train, one batch")
    if curves.evaluation:
        axes.plot(*zip(*curves.evaluation), color="#c44e52", marker="o", markersize=4, label="eval")
        step, loss = min(curves.evaluation, key=lambda point: point[1])
        axes.annotate(
            f"{loss:.3f} nats\nperplexity {from_nats(loss):.2f}",
            (step, loss),
            xytext=(0, 12),
            textcoords="offset points",
            ha="right",
        )
    if math.isfinite(threshold):
        label = f"threshold, perplexity {threshold:.2f}"
        axes.axhline(math.log(threshold), color="#777777", linestyle=":", label=label)
    axes.set(xlabel="step", ylabel="nats per character")
    axes.set_title(title, parse_math=False)  # a name may contain "$"
    axes.grid(alpha=0.3)
    axes.legend(loc="upper right")
    perplexities = axes.secondary_yaxis("right", functions=(_exp, _log))
    perplexities.set_ylabel("perplexity")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with files.replacing(path) as file:
        figure.savefig(file, format="png")


def _exp(nats: Any) -> Any:
    return np.exp(np.minimum(nats, 100.0))


def _log(perplexity: Any) -> Any:
    return np.log(np.maximum(perplexity, 1e-9))
