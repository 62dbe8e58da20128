"""The result of an evaluation as rows of a table, for the terminal and for the user interface of a cluster."""

from collections.abc import Sequence

from components.evaluate.evaluation import Figures


def rows(
    figures: Figures, threshold: float | None, blessed: bool, reasons: Sequence[str], missing_baseline: str = ""
) -> list[tuple[str, str]]:
    """Return name and value of each row. Example: tests/components/evaluate/test_summary.py.

    Args:
      threshold: highest perplexity of a blessed model; None: that of the trigram reference.
      reasons: why the model was not blessed or must not be served.
      missing_baseline: which model the candidate should have been compared with, but exists no longer.
    """
    trigram = f"{figures.reference_perplexity:.3f} (character trigram model)"
    baseline = figures.baseline_perplexity
    none = "none" if missing_baseline else "none yet"
    result = [
        ("eval characters", f"{figures.eval_chars:,}"),
        ("perplexity", f"{figures.perplexity:.3f} (state carried within each passage)"),
        ("bits per character", f"{figures.bits_per_character:.3f}"),
        ("threshold", trigram if threshold is None else f"{threshold:g}"),
        ("baseline", none if baseline is None else f"{baseline:.3f} (last blessed model)"),
    ]
    if missing_baseline:
        result.append(("missing baseline", missing_baseline))
    result.append(("blessed", "yes" if blessed else "no"))
    return result + [("why not", reason) for reason in reasons]
