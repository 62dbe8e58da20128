"""Cost of the Evaluator with the batches of passages that TFMA chooses, and with those that the pipeline sets."""

import os
from typing import Any

from google.protobuf import json_format
from tfx.components.evaluator import executor as tfx_executor
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts
from tfx.utils import json_utils, path_utils

from benchmarks.implementations.protocol import Stopwatch
from components import beam
from components.evaluate import evaluation, evaluator
from trainer import export

# The pipeline's first: loading and compiling what both need counts against it.
EXECUTORS = {"fixed": evaluator.Executor, "adaptive": tfx_executor.Executor}


def compare(exported: Any, examples: Any, root: str) -> dict[str, Any]:
    """Evaluate a model on the eval split with both.

    Args:
      exported: the model, as `trainer.export.one_step` returns it.
      examples: the artifact of the pipeline's examples.
      root: an empty directory.

    Returns:
      For each of `EXECUTORS` wall and CPU seconds, `perplexity` and `characters`, the predicted ones.
    """
    model = _artifact(standard_artifacts.Model, root, "model")
    directory = path_utils.serving_model_path(model.uri)
    export.save(exported, directory, "benchmark", reference_nats=1.0)
    config = json_format.MessageToJson(
        evaluator.eval_config(1e9, 1.0, False, None, ""), preserving_proto_field_name=True
    )
    properties = {"eval_config": config, "example_splits": json_utils.dumps(["eval"])}
    found = {}
    for name, executor in EXECUTORS.items():
        results = _artifact(standard_artifacts.ModelEvaluation, root, name)
        outputs = {"evaluation": [results], "blessing": [_artifact(standard_artifacts.ModelBlessing, root, f"{name}-")]}
        context = BaseBeamExecutor.Context(beam_pipeline_args=[*beam.LOCAL], tmp_dir=os.path.join(root, "temporary"))
        watch = Stopwatch()
        executor(context).Do({"examples": [examples], "model": [model]}, outputs, properties)
        cost = watch.read()
        figures = evaluation.read_figures(results.uri, directory)
        found[name] = {**cost, "perplexity": figures.perplexity, "characters": figures.eval_chars}
    return found


def _artifact(kind: Any, root: str, name: str) -> Any:
    made = kind()
    made.uri = os.path.join(root, name)
    os.makedirs(made.uri)
    return made
