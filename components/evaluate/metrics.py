"""TFMA metrics of a character-level language model, from the sums that the signature `eval_nll` returns.

All are ratios of sums over a complete slice, never means over batches or records.
"""

import math
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics import metric_types

from components.evaluate.perplexity import from_nats

Sums = dict[str, float]
OUTPUTS = ("nll_sum", "num_chars", "num_unknown")


def perplexity(sums: Sums) -> float:
    """Compute exp(sum of nats / characters): the geometric mean of 1 / probability of each target."""
    return from_nats(_per_char(sums, "nll_sum"))


def bits_per_character(sums: Sums) -> float:
    """Compute the cross-entropy in bits: (sum of nats / characters) / ln 2."""
    return _per_char(sums, "nll_sum") / math.log(2)


def out_of_vocabulary_rate(sums: Sums) -> float:
    """Compute the fraction of predicted characters that the vocabulary does not contain."""
    return _per_char(sums, "num_unknown")


def character_count(sums: Sums) -> float:
    """Count the predicted characters: all but the first of each document."""
    return sums["num_chars"]


def _per_char(sums: Sums, output: str) -> float:
    return sums[output] / sums["num_chars"] if sums["num_chars"] else math.nan


FORMULAS = {
    formula.__name__: formula for formula in (perplexity, bits_per_character, out_of_vocabulary_rate, character_count)
}


class FromSums(metric_types.Metric):
    """A metric that is one of the formulas above; all metrics share one computation per model.

    Example: tests/components/evaluate/test_metrics.py.
    """

    def __init__(self, name: str, sources: str = "") -> None:  # noqa: ARG002
        """Take the formula of this name.

        Args:
          sources: digest of the code: as a part of the EvalConfig it is in the Evaluator's cache key.
        """
        formula = FORMULAS[name]

        def computations(name: str, model_names: list[str] | None = None) -> list[Any]:
            made: list[Any] = []
            for model in model_names or [""]:
                key = metric_types.MetricKey(name=name, model_name=model)
                sums = metric_types.MetricKey(name="_sums", model_name=model)
                inputs = metric_types.StandardMetricInputsPreprocessor(
                    include_filter={"predictions": {}}, include_default_inputs=False
                )
                combiner = _SumOutputs(model, sums)
                made.append(metric_types.MetricComputation(keys=[sums], preprocessors=[inputs], combiner=combiner))

                def result(metrics: dict[Any, Any], key: Any = key, sums: Any = sums) -> dict[Any, float]:
                    return {key: formula(dict(zip(OUTPUTS, metrics[sums])))}

                made.append(metric_types.DerivedMetricComputation(keys=[key], result=result))
            return made

        super().__init__(computations, name=name)


class Stated(metric_types.Metric):
    """A figure that the export states, as a metric: TFMA compares it with a bound and stores both.

    Example: `test_model_that_copies_too_much_is_not_blessed` in tests/components/evaluate/test_evaluator.py.
    """

    def __init__(self, name: str, sources: str = "", value: float = math.inf) -> None:  # noqa: ARG002
        """Take the figure; without one, no model is blessed. The digest `sources` is that of `FromSums`."""

        def computations(name: str, model_names: list[str] | None = None) -> list[Any]:
            keys = [metric_types.MetricKey(name=name, model_name=model) for model in model_names or [""]]

            def result(_: dict[Any, Any]) -> dict[Any, float]:
                return dict.fromkeys(keys, value)

            return [metric_types.DerivedMetricComputation(keys=keys, result=result)]

        super().__init__(computations, name=name)


class _SumOutputs(beam.CombineFn):
    """Sums each output of `eval_nll`, in float64."""

    def __init__(self, model_name: str, key: Any) -> None:
        self._model_name, self._key = model_name, key

    def __eq__(self, other: object) -> bool:  # TFMA merges equal computations
        return isinstance(other, _SumOutputs) and other._key == self._key

    def __hash__(self) -> int:
        return hash(self._key)

    def create_accumulator(self) -> Any:
        return np.zeros(len(OUTPUTS))

    def add_input(self, accumulator: Any, element: Any) -> Any:
        outputs = element.prediction
        if self._model_name and self._model_name in outputs:
            outputs = outputs[self._model_name]
        return accumulator + np.array([np.sum(outputs[name], dtype=np.float64) for name in OUTPUTS])

    def merge_accumulators(self, accumulators: Iterable[Any]) -> Any:
        return np.sum(list(accumulators), axis=0)

    def extract_output(self, accumulator: Any) -> dict[Any, Any]:
        return {self._key: accumulator}
