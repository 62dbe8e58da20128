"""What a back end hands to a container, in the shape in which TFX reads it; and the answer, in the back end's shape.

Open-source Kubeflow Pipelines differs from Vertex AI, for which TFX was written: input artifacts have lost their types,
lists and mappings in their metadata are wrapped, and `minio://` or `s3://` artifacts lie as local copies that are
uploaded afterwards. An invocation is KFP's `ExecutorInput` as a plain dict.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.errors import UserError
from pipeline.config.run import TrainingConfig

Invocation = dict[str, Any]
# Schemes that neither TensorFlow nor Beam can open, and where the launcher keeps its copies, as it names the folders.
_COPIED = {"minio://": "minio", "s3://": "s3"}
COPIES = "KFP_LOCAL_COPIES"  # environment variable: the directory of those folders; default /


def adapt(invocation: Invocation, inputs_spec: dict[str, Any]) -> None:
    """Close the gaps of open-source Kubeflow Pipelines, in place.

    Args:
      inputs_spec: KFP's `ComponentInputsSpec` of the task as a dict: it knows the types.
    """
    known = inputs_spec.get("artifacts", {})
    for name, artifact in _artifacts(invocation, "inputs"):
        kind = artifact.get("type") or {}
        if not any(kind.values()) and name in known:
            artifact["type"] = known[name]["artifactType"]
        artifact["metadata"] = {key: _unwrap(value) for key, value in (artifact.get("metadata") or {}).items()}
    outputs = invocation.get("outputs", {}).get("artifacts", {})
    for name in [name for name, artifact in _artifacts(invocation, "outputs") if _is_launchers(artifact)]:
        # The launcher's own log, of a type that TFX does not know.
        del outputs[name]
    for _, artifact in (*_artifacts(invocation, "inputs"), *_artifacts(invocation, "outputs")):
        artifact["uri"] = local(artifact["uri"])


def make_outputs(invocation: Invocation) -> None:
    """Make the directories of local outputs: the launcher makes their parents only, and components expect them."""
    for _, artifact in _artifacts(invocation, "outputs"):
        if "://" not in artifact["uri"]:
            Path(artifact["uri"]).mkdir(parents=True, exist_ok=True)


def divert_outputs(invocation: Invocation, directory: str) -> None:
    """Give the outputs of a worker that is not the chief places of its own, with the export that TFX looks for."""
    for name, artifact in _artifacts(invocation, "outputs"):
        artifact["uri"] = os.path.join(directory, name)
        # `path_utils.serving_model_dir`; stays empty.
        Path(artifact["uri"], "Format-Serving").mkdir(parents=True)
    invocation["outputs"]["outputFile"] = os.path.join(directory, "output_metadata.json")


def local(uri: str) -> str:
    """Where the local copy of an artifact lies; the URI itself if TensorFlow can open it."""
    for scheme, folder in _COPIED.items():
        if uri.startswith(scheme):
            return os.path.join(os.environ.get(COPIES, "/"), folder, uri.removeprefix(scheme))
    return uri


def remote(path: str) -> str:
    """The URI that a local copy stands for."""
    for scheme, folder in _COPIED.items():
        prefix = os.path.join(os.environ.get(COPIES, "/"), folder, "")
        if path.startswith(prefix):
            return scheme + path.removeprefix(prefix)
    return path


def restore(answer_file: str) -> None:
    """Name the artifacts in the answer (KFP's `ExecutorOutput`, as JSON) by their URIs again."""
    path = Path(answer_file)
    answer = json.loads(path.read_text(encoding="utf-8"))
    for artifacts in answer.get("artifacts", {}).values():
        for artifact in artifacts.get("artifacts", []):
            if "uri" in artifact:
                artifact["uri"] = remote(artifact["uri"])
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(answer), encoding="utf-8")
    partial.replace(path)


def override_training(invocation: Invocation) -> None:
    """Merge the parameter `training_overrides` of the run into the training values that were compiled in.

    Raises:
      UserError: it is no JSON object, or holds an unknown key or a bad value.
    """
    parameters = invocation.get("inputs", {}).get("parameterValues", {})
    given = parameters.pop("training_overrides", "{}")
    try:
        changes = json.loads(given)
    except ValueError as error:
        raise UserError(_explain(str(error), given)) from error
    if not isinstance(changes, dict):
        raise UserError(_explain("it is no JSON object", given))
    if not changes:
        return
    custom = json.loads(parameters["custom_config"])
    values = custom["training"] | changes
    for key, other in (("steps", "epochs"), ("epochs", "steps")):
        if changes.get(key) is not None and other not in changes:
            values[other] = None
    try:
        custom["training"] = TrainingConfig.model_validate(values).model_dump()
    except ValueError as error:
        raise UserError(_explain("; ".join(str(error).splitlines()[1:3]).strip(), given)) from error
    if (custom["training"]["steps"] is None) == (custom["training"]["epochs"] is None):
        raise UserError(_explain("exactly one of steps and epochs must be given", given))
    if custom["training"]["logical_cpus"] > 1:
        raise UserError(_explain("logical_cpus splits the processor of a machine of one's own only", given))
    parameters["custom_config"] = json.dumps(custom)


def check_parameters(parameters: dict[str, str], training: TrainingConfig) -> None:
    """Refuse values of the run's parameters that its tasks would refuse, perhaps at night.

    Args:
      training: what is compiled in.

    Raises:
      UserError: a value is no good.
    """
    if not parameters.get("corpus", "any").strip():
        raise UserError("The run's parameter `corpus` names no text: give a name, path or URL. Received: corpus=")
    custom = json.dumps({"training": training.model_dump()})
    values = {"training_overrides": parameters.get("training", "{}"), "custom_config": custom}
    override_training({"inputs": {"parameterValues": values}})


def _explain(reason: str, given: str) -> str:
    return (
        f"The run's parameter `training` cannot be used: {reason}. Write a JSON object of values of the section "
        f'`training` in pipeline/config/run.py, for example {{"steps": 2000}}. Received: training={given}'
    )


def _artifacts(invocation: Invocation, side: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, artifacts in invocation.get(side, {}).get("artifacts", {}).items():
        for artifact in artifacts.get("artifacts", []):
            yield name, artifact


def _is_launchers(artifact: dict[str, Any]) -> bool:
    return str((artifact.get("type") or {}).get("schemaTitle", "")).startswith("system.")


def _unwrap(value: Any) -> Any:
    if isinstance(value, dict) and len(value) == 1:
        key, inner = next(iter(value.items()))
        if (key == "list" and isinstance(inner, list)) or (key == "struct" and isinstance(inner, dict)):
            return inner
    return value
