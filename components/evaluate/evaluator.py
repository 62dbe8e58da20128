"""The Evaluator: TFMA's, configured for perplexity; without a baseline when LastBlessed found none."""

import json
from typing import Any

import tensorflow_model_analysis as tfma
from tfx.components.evaluator import executor
from tfx.components.evaluator.component import Evaluator
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.models import versions

METRICS = ("Perplexity", "BitsPerCharacter", "YardstickRatio", "OutOfVocabularyRate", "CharacterCount")
_TINY = 1e-9  # TFMA's bounds are inclusive: a model as good as the yardstick is not better


class Executor(executor.Executor):
    """TFX's executor, to which an empty baseline artifact is no baseline."""

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: Any) -> None:  # noqa: N802 - TFX's name
        """Run TFMA."""
        baseline = input_dict.get("baseline_model")
        if baseline:
            path = path_utils.serving_model_path(artifact_utils.get_single_uri(baseline))
            if not versions.is_whole(path):
                input_dict = {key: value for key, value in input_dict.items() if key != "baseline_model"}
        super().Do(input_dict, output_dict, exec_properties)


class PerplexityEvaluator(Evaluator):
    """Evaluator with that executor."""

    EXECUTOR_SPEC = BeamExecutorSpec(Executor)


def eval_config(threshold: float | None, max_increase: float, by_document: bool, sources: str) -> tfma.EvalConfig:
    """What is measured, and when a model is blessed.

    Args:
      threshold: highest perplexity; None: below that of the trigram model.
      max_increase: relative increase of perplexity over the last blessed model that is still accepted.
      by_document: measure every document on its own, too.
      sources: digest of the code of the metrics.
    """
    metrics = [
        tfma.MetricConfig(
            class_name=name, module="components.evaluate.metrics", config=json.dumps({"sources": sources})
        )
        for name in METRICS
    ]
    rises = tfma.GenericChangeThreshold(
        direction=tfma.MetricDirection.LOWER_IS_BETTER, relative={"value": max_increase}
    )
    bounds = {"Perplexity": tfma.MetricThreshold(change_threshold=rises)}
    if threshold is None:
        bounds["YardstickRatio"] = tfma.MetricThreshold(value_threshold={"upper_bound": {"value": 1.0 - _TINY}})
    else:
        bounds["Perplexity"].value_threshold.upper_bound.value = threshold
    for metric in metrics:
        if metric.class_name in bounds:
            # A plain `threshold` would hold for every slice, and so let one hard document refuse the model.
            metric.per_slice_thresholds.add(slicing_specs=[tfma.SlicingSpec()], threshold=bounds[metric.class_name])
    slices = [tfma.SlicingSpec()]
    if by_document:
        slices.append(tfma.SlicingSpec(feature_keys=["document"]))
    kind = {"signature_name": "eval_nll", "model_type": "tf_generic"}
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(name="candidate", **kind),
            tfma.ModelSpec(name="baseline", is_baseline=True, **kind),
        ],
        slicing_specs=slices,
        metrics_specs=[tfma.MetricsSpec(metrics=metrics)],
    )
