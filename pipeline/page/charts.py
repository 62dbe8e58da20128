"""Pictures as SVG, whose colors follow the page: the learning curve, and the way from the text to the version."""

import math
from collections.abc import Iterator, Sequence
from html import escape

from components.evaluate.perplexity import from_nats
from pipeline.learning_curve import Curves, Points

_WIDTH, _HEIGHT = 480, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 52, 10, 40
_POINTS = 240  # of the train loss: more than that many pixels show nothing
_BOX, _GAP, _LINE = 340, 22, 20  # of the lineage


def learning_curve(curves: Curves, threshold: float) -> str:
    """Return the losses by step.

    Args:
      threshold: highest perplexity of a blessed model, shown as a line if it is finite.
    """
    train = thinned([point for point in curves.train if math.isfinite(point[1])])
    points = [*train, *curves.evaluation]
    limit = [math.log(threshold)] if math.isfinite(threshold) and threshold > 0 else []
    lowest, highest = min([*(y for _, y in points), *limit]), max([*(y for _, y in points), *limit])
    low, high = lowest - 0.05 * (highest - lowest or 1), highest + 0.05 * (highest - lowest or 1)
    last = max(step for step, _ in points) or 1

    def x(step: float) -> float:
        return _LEFT + step / last * (_WIDTH - _LEFT - _RIGHT)

    def y(nats: float) -> float:
        return _TOP + (high - nats) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    def line(of: Points, kind: str) -> str:
        return f'<polyline class="{kind}" points="{" ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in of)}"/>'

    parts = []
    for value in ticks(low, high):
        parts.append(f'<path class="grid" d="M{_LEFT},{y(value):.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(_text(_LEFT - 6, y(value) + 4, f"{value:g}", "end"))
        parts.append(_text(_WIDTH - _RIGHT + 6, y(value) + 4, _short(from_nats(value)), "start"))
    parts += [_text(x(step), _HEIGHT - 22, f"{step:,.0f}", "middle") for step in ticks(0, last)]
    if limit:
        parts.append(f'<path class="bound" d="M{_LEFT},{y(limit[0]):.1f}H{_WIDTH - _RIGHT}"/>')
    parts += [line(train, "train"), line(curves.evaluation, "eval")]
    parts += [f'<circle class="eval" cx="{x(s):.1f}" cy="{y(v):.1f}" r="3"/>' for s, v in curves.evaluation]
    parts.append(_text(_WIDTH / 2, _HEIGHT - 5, "step", "middle"))
    label = "Loss of training and evaluation by step, in nats (left) and as perplexity (right)"
    return _svg(_WIDTH, _HEIGHT, label, parts)


def thinned(points: Points) -> Points:
    """Return the means of neighbors, so that at most 240 points are left; the first one is the first step's.

    >>> thinned([(1, 4.0), (2, 2.0)])
    [(1, 4.0), (2, 2.0)]
    """
    size = math.ceil(len(points) / _POINTS)
    groups = [points[at : at + size] for at in range(0, len(points), size)] if points else []
    return [(group[0][0], sum(value for _, value in group) / len(group)) for group in groups]


def ticks(low: float, high: float) -> list[float]:
    """Return three to eight round values of an interval.

    >>> ticks(0, 1480)
    [0.0, 500.0, 1000.0]
    """
    step = 10.0 ** math.floor(math.log10((high - low) / 2))
    step *= next((factor for factor in (5, 2) if (high - low) / (step * factor) >= 2), 1)
    return [round(step * number, 10) for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def lineage(boxes: Sequence[tuple[str, Sequence[str], bool]]) -> str:
    """Return boxes from top to bottom with arrows between them.

    Args:
      boxes: title, lines, and whether it was reached.
    """
    parts, top = list[str](), 1
    for number, (title, lines, reached) in enumerate(boxes):
        height = 12 + _LINE * (1 + len(lines))
        if number:
            parts.append(f'<path class="arrow" d="M{_BOX / 2},{top - _GAP}v{_GAP - 3}m-4,-5l4,5l4,-5"/>')
        kind = "box" if reached else "box missing"
        parts.append(f'<rect class="{kind}" x="1" y="{top}" width="{_BOX - 2}" height="{height}" rx="6"/>')
        parts.append(_text(12, top + _LINE, title, "start", "title"))
        parts += [_text(12, top + _LINE * (2 + at), line, "start") for at, line in enumerate(lines)]
        top += height + _GAP
    return _svg(_BOX, top - _GAP + 1, "From the text to the version", parts)


def _svg(width: int, height: int, label: str, parts: Sequence[str]) -> str:
    size = f'viewBox="0 0 {width} {height}" style="max-width:{width}px"'
    return f'<svg {size} role="img" aria-label="{escape(label)}">\n' + "\n".join(parts) + "\n</svg>"


def _text(x: float, y: float, text: str, anchor: str, kind: str = "label") -> str:
    shown = text if len(text) <= 44 else text[:41] + "..."
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(shown)}</text>'


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0e}"


def legend(threshold: float) -> Iterator[tuple[str, str]]:
    """Yield the kind of each line of the learning curve, and what it shows."""
    yield "train", "train, one batch"
    yield "eval", "eval"
    if math.isfinite(threshold):
        yield "bound", f"threshold, perplexity {threshold:.2f}"
