"""The Evaluator's executor: TFMA, configured for perplexity; without a baseline if LastBlessed found none."""

import json
from typing import Any

import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from tensorflow_model_analysis.proto import config_pb2
from tfx.components.evaluator import executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.evaluate import extractors, generalization, hardest, reference
from components.evaluate.metrics import FORMULAS, FromSums, Stated
from components.models import versions

# TFX's executor asks for it. TFMA 0.52 lacks the name; TFX 1.21 adds it when all of its components are imported.
tfma.EvalConfig = config_pb2.EvalConfig

# Stands for threshold "auto" until the executor has read the reference model's figure. No perplexity is below 1: if it
# were not replaced, no model would be blessed.
_AUTO = 0.0


class Executor(executor.Executor):
    """TFX's executor; reads what the candidate states, ignores an empty baseline, and fixes the batch size.

    Example in tests/components/evaluate/test_evaluator.py:
    `test_model_no_better_than_the_reference_model_is_not_blessed`.
    """

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: Any) -> None:  # noqa: N802 - TFX's name
        """Run TFMA."""
        eval_config = _with_stated(exec_properties["eval_config"], _export(input_dict["model"]))
        baseline = input_dict.get("baseline_model")
        if baseline and not versions.is_complete(_export(baseline)):
            input_dict = {key: value for key, value in input_dict.items() if key != "baseline_model"}
        changed = {"eval_config": eval_config, "module_path": extractors.__name__}
        token = hardest.DESTINATION.set(artifact_utils.get_single_uri(output_dict["evaluation"]))
        try:
            super().Do(input_dict, output_dict, {**exec_properties, **changed})
        finally:
            hardest.DESTINATION.reset(token)
        _describe(output_dict["evaluation"], input_dict["examples"], baseline)


def _describe(evaluation: Any, examples: Any, baseline: Any) -> None:
    """State on which text the model was evaluated, and whether the last blessed model was on another one."""
    digest = artifact_utils.get_single_instance(examples).get_string_custom_property("eval_digest")
    described = artifact_utils.get_single_instance(evaluation)
    for name in ("eval_digest", "spans"):
        value = artifact_utils.get_single_instance(examples).get_string_custom_property(name)
        described.set_string_custom_property(name, value)
    last = artifact_utils.get_single_instance(baseline) if baseline else None
    before = last.get_string_custom_property("eval_digest") if last else ""
    if last and before and digest and before != digest:
        version = last.get_int_custom_property("version")
        other = f"version {version} was evaluated on another text when it was pushed"
        advice = "so only the baseline above is comparable; corpus.holdout keeps the eval text the same"
        described.set_string_custom_property("eval_text", f"{other}, {advice}")


def eval_config(
    threshold: float | None, max_increase: float, by_document: bool, max_copied: float | None, sources: str
) -> config_pb2.EvalConfig:
    """Define which metrics are computed, and when a model is blessed.

    Args:
      threshold: highest perplexity; None: below that of the trigram reference, which the executor reads.
      max_increase: accepted relative increase of perplexity over the last blessed model.
      by_document: also compute the metrics of each document.
      max_copied: highest share of generated text that is copied, which the executor reads; None: no bound.
      sources: digest of the code of the metrics.
    """
    place = {"class_name": FromSums.__name__, "module": FromSums.__module__}
    metrics = {
        name: config_pb2.MetricConfig(**place, config=json.dumps({"name": name, "sources": sources}))
        for name in FORMULAS
    }
    bound = config_pb2.MetricThreshold(
        value_threshold={"upper_bound": {"value": _AUTO if threshold is None else threshold}},
        change_threshold=config_pb2.GenericChangeThreshold(
            direction=config_pb2.MetricDirection.LOWER_IS_BETTER, relative={"value": max_increase}
        ),
    )
    # A plain `threshold` would apply to every slice: one hard document would keep the model from being blessed.
    metrics["perplexity"].per_slice_thresholds.add(slicing_specs=[config_pb2.SlicingSpec()], threshold=bound)
    slices = [config_pb2.SlicingSpec()]
    if by_document:
        slices.append(config_pb2.SlicingSpec(feature_keys=["document"]))
    kind = {"signature_name": "eval_nll", "model_type": "tf_generic"}
    specs = [config_pb2.MetricsSpec(metrics=metrics.values())]
    if max_copied is not None:
        specs.append(_copied(max_copied, sources))
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(name=extractors.CANDIDATE, **kind),
            config_pb2.ModelSpec(name="baseline", is_baseline=True, **kind),
        ],
        slicing_specs=slices,
        metrics_specs=specs,
    )


def _copied(bound: float, sources: str) -> config_pb2.MetricsSpec:
    copied = config_pb2.MetricConfig(
        class_name=Stated.__name__,
        module=Stated.__module__,
        config=json.dumps({"name": generalization.COPIED, "sources": sources}),
    )
    threshold = config_pb2.MetricThreshold(value_threshold={"upper_bound": {"value": bound}})
    copied.per_slice_thresholds.add(slicing_specs=[config_pb2.SlicingSpec()], threshold=threshold)
    return config_pb2.MetricsSpec(metrics=[copied], model_names=[extractors.CANDIDATE])


def with_settings(
    config: str, threshold: float | str, max_increase: float, by_document: bool, max_copied: float | None
) -> str:
    """Return an `EvalConfig` (JSON) with the values of another configuration section `evaluation`."""
    metrics = json_format.Parse(config, config_pb2.EvalConfig()).metrics_specs[0].metrics
    sources = json.loads(metrics[0].config)["sources"]
    bound = None if threshold == "auto" else float(threshold)
    changed = eval_config(bound, max_increase, by_document, max_copied, sources)
    return json_format.MessageToJson(changed, preserving_proto_field_name=True)


def _with_stated(eval_config: str, export: str) -> str:
    """Fill what the export states into an `EvalConfig` (JSON): the bound for threshold "auto", and the copied share."""
    config = json_format.Parse(eval_config, config_pb2.EvalConfig())
    for metric in (metric for spec in config.metrics_specs for metric in spec.metrics):
        if metric.class_name == Stated.__name__ and (measured := generalization.read(export)):
            metric.config = json.dumps({**json.loads(metric.config), "value": measured.bounded})
        for bounded in metric.per_slice_thresholds:
            upper_bound = bounded.threshold.value_threshold.upper_bound
            if upper_bound.value == _AUTO:
                upper_bound.value = reference.upper_bound(reference.read(export))
    return json_format.MessageToJson(config, preserving_proto_field_name=True)


def _export(artifacts: Any) -> str:
    return path_utils.serving_model_path(artifact_utils.get_single_uri(artifacts))
