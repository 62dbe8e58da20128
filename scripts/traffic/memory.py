"""Whether the memory of a server is flat, from samples at equal intervals."""

import numpy as np

LARGEST_GROWTH = 0.05  # of the mean, over the last two thirds of the samples
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 60


def verdict(samples: list[float], pushed: int = 0) -> tuple[bool, str]:
    """Fit a line to the last two thirds of the samples.

    Args:
      samples: resident memory, MiB.
      pushed: number of versions loaded in the time of all samples.

    Returns:
      Whether the line grows by at most `LARGEST_GROWTH` of the mean, and a sentence.

    Example:
      >>> verdict([100.0, 300.0, 301.0, 300.0, 302.0, 301.0])[0]
      True
    """
    last = np.array(samples[len(samples) // 3 :])
    if len(last) < 2:
        return True, "memory was sampled less than twice"
    growth = float(np.polyfit(np.linspace(0.0, 1.0, len(last)), last, 1)[0])
    share = growth / float(last.mean())
    each = f", {growth / (pushed * 2 / 3):+.2f} MiB for each version pushed" if pushed else ""
    is_flat = share <= LARGEST_GROWTH
    measured = f"the last two thirds grow by {growth:+.1f} MiB, {share:+.1%} of their mean{each}"
    return is_flat, f"{'flat' if is_flat else 'NOT FLAT'} (at most {LARGEST_GROWTH:.0%}): {measured}"


def curve(samples: list[float]) -> str:
    """Draw the samples as one line of bars, each the mean of an interval, between the lowest and the highest one."""
    means = [float(part.mean()) for part in np.array_split(np.array(samples), min(_WIDTH, len(samples)))]
    low, high = min(means), max(means)
    heights = [round((mean - low) / (high - low or 1.0) * (len(_BARS) - 1)) for mean in means]
    return f"{low:.0f} {''.join(_BARS[height] for height in heights)} {high:.0f} MiB"
