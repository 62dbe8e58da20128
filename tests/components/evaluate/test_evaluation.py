"""Figures and reasons as TFMA's records hold them."""

import math
from typing import Any

import pytest
import tensorflow_model_analysis as tfma
from google.protobuf import text_format

from components.evaluate import reference
from components.evaluate.evaluation import Figures, read_figures

pytestmark = pytest.mark.integration

FIGURES = {
    "perplexity": 4.5,
    "bits_per_character": 2.17,
    "character_count": 200.0,
    "out_of_vocabulary_rate": 0.01,
}
RISE = """
failures {
  metric_key { name: "perplexity" model_name: "candidate" is_diff: true }
  metric_threshold { change_threshold { relative { value: 0.02 } direction: LOWER_IS_BETTER } }
  metric_value { double_value { value: 0.25 } }
}
"""
VALUE = """
failures {
  metric_key { name: "perplexity" model_name: "candidate" }
  metric_threshold { value_threshold { upper_bound { value: 4.25 } } }
  metric_value { double_value { value: 4.5 } }
}
"""
REFERENCE_NATS = 1.25
REFERENCE = f"""
failures {{
  metric_key {{ name: "perplexity" model_name: "candidate" }}
  metric_threshold {{ value_threshold {{ upper_bound {{ value: {reference.upper_bound(REFERENCE_NATS)} }} }} }}
  metric_value {{ double_value {{ value: {1.234 * math.exp(REFERENCE_NATS)} }} }}
}}
"""


def record(document: str | None = None, **models: dict[str, float]) -> Any:
    """One slice's figures of several models; of a model called "diff" they are changes."""
    made = tfma.proto.metrics_for_slice_pb2.MetricsForSlice()
    if document is not None:
        made.slice_key.single_slice_keys.add(column="document", bytes_value=document.encode())
    for model, figures in models.items():
        for name, value in figures.items():
            item = made.metric_keys_and_values.add()
            item.key.name = name
            item.key.model_name = {"only": "", "diff": "candidate"}.get(model, model)
            item.key.is_diff = model == "diff"
            item.value.double_value.value = value
    return made


def read(monkeypatch: pytest.MonkeyPatch, records: list[Any], *failures: str, ok: bool = True) -> Figures:
    validation = tfma.proto.validation_result_pb2.ValidationResult(validation_ok=ok)
    for failure in failures:
        text_format.Parse(failure, validation.metric_validations_per_slice.add())
    monkeypatch.setattr(tfma, "load_metrics", lambda path: {"/evaluation": records}[path])
    monkeypatch.setattr(tfma, "load_validation_result", lambda path: {"/evaluation": validation}[path])
    monkeypatch.setattr(reference, "read", {"/export": REFERENCE_NATS}.__getitem__)
    return read_figures("/evaluation", "/export")


def test_figures_of_a_first_model_which_tfma_gives_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, [record(only=FIGURES)]) == Figures(
        perplexity=4.5,
        bits_per_character=2.17,
        reference_perplexity=math.exp(1.25),
        eval_chars=200,
        out_of_vocabulary_rate=0.01,
        baseline_perplexity=None,
        by_document={},
        reasons=(),
    )


def test_figures_of_candidate_and_baseline_are_not_confused_with_each_other_or_their_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    baseline, change = {**FIGURES, "perplexity": 4.2}, dict.fromkeys(FIGURES, -9.0)
    for records in (
        [record(candidate=FIGURES, baseline=baseline, diff=change)],
        [record(diff=change, baseline=baseline, candidate=FIGURES)],
    ):
        figures = read(monkeypatch, records)
        assert (figures.perplexity, figures.baseline_perplexity) == (4.5, 4.2)


def test_documents_have_their_own_perplexity_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [
        record("é.txt", candidate={**FIGURES, "perplexity": 9.0}, baseline={**FIGURES, "perplexity": 1.0}),
        record(candidate=FIGURES, baseline=FIGURES),
        record("b.txt", candidate={**FIGURES, "perplexity": 3.0}, baseline={**FIGURES, "perplexity": 1.0}),
    ]
    figures = read(monkeypatch, records)
    assert figures.by_document == {"é.txt": 9.0, "b.txt": 3.0}
    assert figures.perplexity == 4.5


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (RISE, "perplexity rose by 0.250 over the last blessed model, more than 2.0%"),
        (VALUE, "perplexity 4.500 is above the threshold 4.25"),
        (REFERENCE, "perplexity is 1.234 times that of a character trigram model, it must be below 1"),
    ],
)
def test_each_failure_has_a_readable_reason(monkeypatch: pytest.MonkeyPatch, failure: str, reason: str) -> None:
    assert read(monkeypatch, [record(only=FIGURES)], failure, ok=False).reasons == (reason,)


def test_all_failures_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(read(monkeypatch, [record(only=FIGURES)], RISE + REFERENCE, VALUE, ok=False).reasons) == 3


def test_a_refusal_is_never_without_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, [record(only=FIGURES)], ok=False).reasons == ("the evaluation gave no figures",)
