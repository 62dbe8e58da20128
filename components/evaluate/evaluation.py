"""Read the Evaluator's figures, and why a model was not blessed."""

from dataclasses import dataclass, field
from typing import Any

import tensorflow_model_analysis as tfma

from components.evaluate import generalization, perplexity, reference
from components.evaluate.generalization import BOUNDED_SPAN, Generalization


@dataclass(frozen=True)
class Figures:
    """The candidate's and the baseline's figures on the eval split.

    Attributes:
      perplexity, bits_per_character: of the candidate.
      reference_perplexity: of the character trigram model.
      eval_chars: characters predicted.
      out_of_vocabulary_rate: fraction of them that the vocabulary does not contain.
      baseline_perplexity: of the last blessed model on the same text; None without one.
      by_document: perplexity of each document.
      baseline_by_document: the same of the last blessed model; empty without one.
      reasons: why the model was not blessed; empty if it was.
      generalization: gap between the losses and share of copied text; None if the export does not state them.
    """

    perplexity: float
    bits_per_character: float
    reference_perplexity: float
    eval_chars: int
    out_of_vocabulary_rate: float
    baseline_perplexity: float | None
    by_document: dict[str, float] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    generalization: Generalization | None = None
    baseline_by_document: dict[str, float] = field(default_factory=dict)


def read_figures(evaluation: str, export: str) -> Figures:
    """Read the directory of a ModelEvaluation artifact.

    Args:
      export: the candidate's SavedModel, which states the figure of its reference model.
    """
    reference_nats = reference.read(export)
    candidate, baseline = _metrics(evaluation, "candidate"), _metrics(evaluation, "baseline")
    if not candidate:
        candidate, baseline = _metrics(evaluation, ""), {}
    overall = candidate.pop(None)
    return Figures(
        perplexity=overall["perplexity"],
        bits_per_character=overall["bits_per_character"],
        reference_perplexity=perplexity.from_nats(reference_nats),
        eval_chars=round(overall["character_count"]),
        out_of_vocabulary_rate=overall["out_of_vocabulary_rate"],
        baseline_perplexity=baseline[None]["perplexity"] if baseline else None,
        by_document={document: figures["perplexity"] for document, figures in candidate.items()},
        reasons=tuple(_reasons(evaluation, reference_nats)),
        generalization=generalization.read(export),
        baseline_by_document={name: figures["perplexity"] for name, figures in baseline.items() if name is not None},
    )


def _metrics(evaluation: str, model: str) -> dict[Any, dict[str, float]]:
    """Return one model's figures by document; None stands for the complete split."""
    result: dict[Any, dict[str, float]] = {}
    for record in tfma.load_metrics(evaluation):
        document = next((key.bytes_value.decode() for key in record.slice_key.single_slice_keys), None)
        for item in record.metric_keys_and_values:
            if item.key.model_name == model and not item.key.is_diff and item.value.HasField("double_value"):
                result.setdefault(document, {})[item.key.name] = item.value.double_value.value
    return result


def _reasons(evaluation: str, reference_nats: float) -> list[str]:
    validation = tfma.load_validation_result(evaluation)
    found = []
    for validated in validation.metric_validations_per_slice:
        for failure in validated.failures:
            value = failure.metric_value.double_value.value
            upper_bound = failure.metric_threshold.value_threshold.upper_bound.value
            if failure.metric_key.is_diff:
                bound = failure.metric_threshold.change_threshold.relative.value
                found.append(f"perplexity rose by {value:.3f} over the last blessed model, more than {bound:.1%}")
            elif failure.metric_key.name == generalization.COPIED:
                found.append(
                    f"{value:.1%} of the generated spans of {BOUNDED_SPAN} characters occur in the training text, more "
                    f"than evaluation.max_copied allows, {upper_bound:.1%}; more text, fewer steps or more dropout "
                    "lower that share"
                )
            elif upper_bound == reference.upper_bound(reference_nats):
                ratio = value / perplexity.from_nats(reference_nats)
                found.append(f"perplexity is {ratio:.3f} times that of a character trigram model, it must be below 1")
            else:
                found.append(f"perplexity {value:.3f} is above the threshold {upper_bound:g}")
    if not validation.validation_ok and not found:
        found.append(str(validation.missing_slices or "the evaluation gave no figures").strip())
    return found
