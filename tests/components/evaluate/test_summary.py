"""Rows of the table of an evaluation."""

import dataclasses

import pytest

from components.evaluate import summary
from components.evaluate.evaluation import Figures
from components.evaluate.generalization import Generalization

pytestmark = pytest.mark.integration
FIGURES = Figures(4.5, 2.17, 6.0, 111_539, 0.01, baseline_perplexity=None)
SHARES = {20: 0.0312, 50: 0.0004, 100: 0.0}
MEASURED = Generalization(1.25, 1.5, 20_480, SHARES, "to be,\nor not\x1b[31m", "hamlet.txt")
NAMES = Generalization(1.9, 2.0, 20_480, dict.fromkeys(SHARES), "emma", "names.txt", 2_847, 0.187)


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


def test_gap_and_copies_follow_perplexity() -> None:
    rows = summary.rows(dataclasses.replace(FIGURES, generalization=MEASURED), None, True, ())
    assert rows[3:6] == summary.generalization_rows(MEASURED)
    assert rows[6:] == summary.rows(FIGURES, None, True, ())[3:]


def test_rows_have_the_gap_the_copied_spans_and_the_longest_copy() -> None:
    assert summary.generalization_rows(MEASURED) == [
        ("train and eval loss", "1.250 and 1.500 nats: a gap of 0.250"),
        ("copied spans", "3.12% of 20, 0.04% of 50, 0.00% of 100 characters (20,480 generated characters)"),
        ("longest copy", r'18 characters: "to be,\nor not\u001b[31m" in hamlet.txt'),
    ]


def test_rows_of_short_documents_have_the_share_of_copied_ones() -> None:
    assert summary.generalization_rows(NAMES)[1:] == [
        ("copied spans", "no generated document has 20 characters (20,480 generated characters)"),
        ("longest copy", '4 characters: "emma" in names.txt'),
        ("copied documents", "18.7% of 2,847 generated documents are in the training text"),
    ]


def test_long_copy_is_shortened_and_none_is_stated() -> None:
    rows = dict(summary.generalization_rows(dataclasses.replace(MEASURED, longest_copy="a" * 300)))
    assert rows["longest copy"] == f'300 characters: "{"a" * 60}..." in hamlet.txt'
    assert dict(summary.generalization_rows(dataclasses.replace(MEASURED, longest_copy="")))["longest copy"] == "none"


def test_missing_baseline_is_named() -> None:
    rows = summary.rows(FIGURES, None, True, (), "version 2 is gone")
    assert rows[4:6] == [("baseline", "none"), ("missing baseline", "version 2 is gone")]
