"""The figures of a run that the user interfaces show as metrics."""

import math

from components.evaluate.evaluation import Figures


def metrics(figures: Figures) -> dict[str, float]:
    """Return the figures that are finite numbers, by name. Example: tests/kubeflow/report/test_result.py."""
    values = {
        "perplexity": figures.perplexity,
        "bits_per_character": figures.bits_per_character,
        "trigram_perplexity": figures.reference_perplexity,
        "baseline_perplexity": figures.baseline_perplexity,
        "out_of_vocabulary_rate": figures.out_of_vocabulary_rate,
        **(figures.generalization.metrics if figures.generalization else {}),
    }
    return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
