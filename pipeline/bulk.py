"""The pipeline of bulk jobs on a cluster: one component, which runs `python -m serving bulk`.

TFX's BulkInferrer passes serialized examples to a signature with one input, so it cannot give each row its parameters.
"""

import json
import os
import shlex

from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.orchestration.pipeline import Pipeline
from tfx.types.standard_artifacts import InferenceResult

from pipeline.config.places import Places
from pipeline.config.run import Config

RESULT = "manifest.json"  # in the artifact


@component
def BulkInference(  # type: ignore[no-untyped-def] # noqa: N802
    inference_result: OutputArtifact[InferenceResult],
    input: Parameter[str],
    output: Parameter[str],
    options: Parameter[str],
    model: Parameter[str],
):
    """Generate or score the lines of a file, or what an earlier attempt has left of them.

    The artifact has the job's manifest: the output stays outside of it, where a retry finds the finished shards.

    Args:
      inference_result: InferenceResult.
      input: path or URL of the lines.
      output: path or URL of the result.
      options: further options of the command, as in a shell.
      model: options that choose the model, as a JSON list.
    """
    from serving.__main__ import arguments
    from serving.bulk.shards import Directory
    from serving.commands import bulk

    command = ["bulk", input, "--output", output, *json.loads(model), *shlex.split(options)]
    if bulk.run(arguments(command)):
        raise RuntimeError(f"The bulk job failed; the log has the reason. Received: {shlex.join(command)}")
    manifest = Directory(output).manifest() or {}
    for name in ("model", "task"):
        inference_result.set_string_custom_property(name, manifest[name])
    inference_result.set_string_custom_property("output", output)
    inference_result.set_int_custom_property("lines", manifest["lines"])
    inference_result.set_int_custom_property("errors", len(manifest["failed"]))
    with fileio.open(os.path.join(inference_result.uri, RESULT), "w") as file:
        file.write(json.dumps(manifest, indent=2))


def create_pipeline(config: Config, places: Places) -> Pipeline:
    """Create the pipeline.

    Args:
      config: names the model and has Beam's arguments.
      places: the directories of a run; the defaults of input and output are in the folder `bulk` of its root.
    """
    folder = os.path.join(places.root, "bulk")
    model = ["--model", config.model_name, "--root", places.root, "--serving-dir", os.path.dirname(places.serving)]
    if config.beam_args:
        model += ["--set", f"beam_args={json.dumps(list(config.beam_args))}"]
    job = BulkInference(
        input=os.path.join(folder, "prompts.jsonl"),
        output=os.path.join(folder, "generated.jsonl"),
        options="",
        model=json.dumps(model),
    )
    return Pipeline(pipeline_name=config.model_name, pipeline_root=places.root, components=[job])
