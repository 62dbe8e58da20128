"""TFMA metrics of a character-level language model, from the sums that the signature `eval_nll` returns.

All are ratios of sums over the whole slice, never means of batch or record figures.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics import metric_types

Sums = dict[str, float]
OUTPUTS = ("nll_sum", "num_chars", "num_unknown", "yardstick_nll_sum")


def perplexity(sums: Sums) -> float:
    """exp(sum of nats / characters): the geometric mean of 1 / probability of the right character."""
    return _exp(_per_char(sums, "nll_sum"))


def bits_per_character(sums: Sums) -> float:
    """Cross-entropy in bits: (sum of nats / characters) / ln 2."""
    return _per_char(sums, "nll_sum") / math.log(2)


def yardstick_ratio(sums: Sums) -> float:
    """Perplexity divided by that of the trigram model: below one is better than counting trigrams."""
    return _exp(_per_char(sums, "nll_sum") - _per_char(sums, "yardstick_nll_sum"))


def out_of_vocabulary_rate(sums: Sums) -> float:
    """Part of the predicted characters that the vocabulary does not have."""
    return _per_char(sums, "num_unknown")


def character_count(sums: Sums) -> float:
    """Predicted characters: all but the first of each document."""
    return sums["num_chars"]


def _per_char(sums: Sums, output: str) -> float:
    return sums[output] / sums["num_chars"] if sums["num_chars"] else math.nan


def _exp(nats: float) -> float:
    return math.exp(nats) if nats < 700 else math.inf


class _FromSums(metric_types.Metric):
    """A metric that is a function of the sums; all of them share one computation per model."""

    formula: Callable[[Sums], float]

    def __init__(self, name: str, sources: str = "") -> None:  # noqa: ARG002
        # `sources` is a digest of the code: in the Evaluator's configuration it becomes part of its cache key.
        formula = type(self).formula

        def computations(name: str, model_names: list[str] | None = None) -> list[Any]:
            made: list[Any] = []
            for model in model_names or [""]:
                key = metric_types.MetricKey(name=name, model_name=model)
                sums = metric_types.MetricKey(name="_sums", model_name=model)
                made.append(
                    metric_types.MetricComputation(
                        keys=[sums],
                        preprocessors=[
                            metric_types.StandardMetricInputsPreprocessor(
                                include_filter={"predictions": {}}, include_default_inputs=False
                            )
                        ],
                        combiner=_SumOutputs(model, sums),
                    )
                )

                def result(
                    metrics: dict[Any, Any], key: Any = key, sums: Any = sums
                ) -> dict[metric_types.MetricKey, float]:
                    return {key: formula(dict(zip(OUTPUTS, metrics[sums])))}

                made.append(metric_types.DerivedMetricComputation(keys=[key], result=result))
            return made

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


class Perplexity(_FromSums):
    """See `perplexity`."""

    formula = staticmethod(perplexity)

    def __init__(self, name: str = "perplexity", **kwargs: Any) -> None:
        super().__init__(name, **kwargs)


class BitsPerCharacter(_FromSums):
    """See `bits_per_character`."""

    formula = staticmethod(bits_per_character)

    def __init__(self, name: str = "bits_per_character", **kwargs: Any) -> None:
        super().__init__(name, **kwargs)


class YardstickRatio(_FromSums):
    """See `yardstick_ratio`."""

    formula = staticmethod(yardstick_ratio)

    def __init__(self, name: str = "yardstick_ratio", **kwargs: Any) -> None:
        super().__init__(name, **kwargs)


class OutOfVocabularyRate(_FromSums):
    """See `out_of_vocabulary_rate`."""

    formula = staticmethod(out_of_vocabulary_rate)

    def __init__(self, name: str = "out_of_vocabulary_rate", **kwargs: Any) -> None:
        super().__init__(name, **kwargs)


class CharacterCount(_FromSums):
    """See `character_count`."""

    formula = staticmethod(character_count)

    def __init__(self, name: str = "character_count", **kwargs: Any) -> None:
        super().__init__(name, **kwargs)


for _metric in (Perplexity, BitsPerCharacter, YardstickRatio, OutOfVocabularyRate, CharacterCount):
    metric_types.register_metric(_metric)
