"""Rows of the table of an evaluation."""

import dataclasses

import pytest

from components.evaluate import summary
from components.evaluate.evaluation import Figures

pytestmark = pytest.mark.integration
FIGURES = Figures(4.5, 2.17, 6.0, 111_539, 0.01, baseline_perplexity=None)


def test_rows_of_a_first_model() -> None:
    assert summary.rows(FIGURES, None, True, ()) == [
        ("eval characters", "111,539"),
        ("perplexity", "4.500 (state carried within each passage)"),
        ("bits per character", "2.170"),
        ("threshold", "6.000 (character trigram model)"),
        ("baseline", "none yet"),
        ("blessed", "yes"),
    ]


def test_rows_of_a_rejected_model_have_the_configured_threshold_and_every_reason() -> None:
    rows = summary.rows(dataclasses.replace(FIGURES, baseline_perplexity=4.4), 4.25, False, ("one", "two"))
    assert rows[3:] == [
        ("threshold", "4.25"),
        ("baseline", "4.400 (last blessed model)"),
        ("blessed", "no"),
        ("why not", "one"),
        ("why not", "two"),
    ]


def test_missing_baseline_is_named() -> None:
    rows = summary.rows(FIGURES, None, True, (), "version 2 is gone")
    assert rows[4:6] == [("baseline", "none"), ("missing baseline", "version 2 is gone")]
