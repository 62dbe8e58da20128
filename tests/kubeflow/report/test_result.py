"""Metrics are finite numbers."""

import dataclasses
import math

import pytest

from kubeflow.report import result
from tests.pipeline.page.results import FIGURES

pytestmark = pytest.mark.integration
MEASURED = {"train_nats": 1.25, "eval_nats": 1.5, "copied_20": 0.03, "copied_50": 0.001, "longest_copy_chars": 11}


def test_metrics_are_finite_numbers() -> None:
    assert result.metrics(FIGURES) == {
        "perplexity": 4.5,
        "bits_per_character": 2.17,
        "trigram_perplexity": 6.0,
        "baseline_perplexity": 5.0,
        "out_of_vocabulary_rate": 0.00012,
        **MEASURED,
    }
    diverged = dataclasses.replace(FIGURES, perplexity=math.inf, bits_per_character=math.nan, baseline_perplexity=None)
    assert result.metrics(diverged) == {"trigram_perplexity": 6.0, "out_of_vocabulary_rate": 0.00012, **MEASURED}
