"""The result of an evaluation as rows of a table, for the terminal and for the user interface of a cluster."""

import json
from collections.abc import Sequence

from components import command_line
from components.evaluate import generalization
from components.evaluate.evaluation import Figures
from components.evaluate.generalization import Generalization

SHOWN = 60  # characters of the longest copy


def rows(
    figures: Figures,
    threshold: float | None,
    blessed: bool,
    reasons: Sequence[str],
    missing_baseline: str = "",
    eval_text: str = "",
) -> list[tuple[str, str]]:
    """Return name and value of each row. Example: tests/components/evaluate/test_summary.py.

    Args:
      threshold: highest perplexity of a blessed model; None: that of the trigram reference.
      reasons: why the model was not blessed or must not be served.
      missing_baseline: which model the candidate should have been compared with, but exists no longer.
      eval_text: how the eval text differs from that of the last blessed model; empty if it is the same, or not known.
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
    if figures.generalization:
        result[3:3] = generalization_rows(figures.generalization)
    if missing_baseline:
        result.append(("missing baseline", missing_baseline))
    if eval_text:
        result.append(("eval text", eval_text))
    result.append(("blessed", "yes" if blessed else "no"))
    return result + [("why not", reason) for reason in reasons]


def generalization_rows(measured: Generalization) -> list[tuple[str, str]]:
    """Return name and value of each row: the gap between the losses, and what is copied."""
    gap = measured.eval_nats - measured.train_nats
    shares = ", ".join(f"{share:.2%} of {span}" for span, share in measured.copied.items() if share is not None)
    spans = f"{shares} characters" if shares else f"no generated document has {min(generalization.SPANS)} characters"
    copy = measured.longest_copy
    shown = json.dumps(copy if len(copy) <= SHOWN else copy[:SHOWN] + "...", ensure_ascii=False)
    found = f"{len(copy)} characters: {command_line.visible(shown)} in {measured.copied_from}" if copy else "none"
    result = [
        ("train and eval loss", f"{measured.train_nats:.3f} and {measured.eval_nats:.3f} nats: a gap of {gap:.3f}"),
        ("copied spans", f"{spans} ({measured.generated_chars:,} generated characters)"),
        ("longest copy", found),
    ]
    if measured.copied_documents is not None:
        generated = command_line.counted(measured.generated_documents, "generated document")
        result.append(("copied documents", f"{measured.copied_documents:.1%} of {generated} are in the training text"))
    return result
