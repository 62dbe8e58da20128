"""The invocation of a task, converted from the backend's form into the one that TFX reads; and the result, back.

TFX was written for Vertex AI. Open-source Kubeflow Pipelines differs: input artifacts have lost their types, or have
them in a form that TFX cannot read; with ML Metadata, lists and mappings in their metadata are wrapped; `minio://` or
`s3://` artifacts are local copies that the launcher uploads afterwards. An invocation is KFP's `ExecutorInput` as a
plain dict.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components import files

Invocation = dict[str, Any]
# Schemes that neither TensorFlow nor Beam can open, and the launcher's folder for the local copies of each.
_COPIED = {"minio://": "minio", "s3://": "s3"}
_DIRECT = "gs://"  # TensorFlow and Beam open it themselves
COPIES = "KFP_LOCAL_COPIES"  # environment variable: the directory of those folders; default /


def adapt(invocation: Invocation, inputs_spec: dict[str, Any]) -> None:
    """Convert an invocation by open-source Kubeflow Pipelines, in place.

    Args:
      inputs_spec: KFP's `ComponentInputsSpec` of the task as a dict, which has the types. Those in the invocation
        differ by the release of KFP: empty, or the text of the schema in the field for its title.
    """
    known = inputs_spec.get("artifacts", {})
    for name, artifact in _artifacts(invocation, "inputs"):
        if name in known:
            artifact["type"] = known[name]["artifactType"]
        artifact["metadata"] = {key: _unwrap(value) for key, value in (artifact.get("metadata") or {}).items()}
    outputs = invocation.get("outputs", {}).get("artifacts", {})
    for name in [name for name, artifact in _artifacts(invocation, "outputs") if _is_launcher_log(artifact)]:
        del outputs[name]
    for _, artifact in (*_artifacts(invocation, "inputs"), *_artifacts(invocation, "outputs")):
        artifact["uri"] = local(artifact["uri"])


def make_outputs(invocation: Invocation) -> None:
    """Create the directories of local outputs: components expect them, and the launcher creates their parents only."""
    for _, artifact in _artifacts(invocation, "outputs"):
        if "://" not in artifact["uri"]:
            Path(artifact["uri"]).mkdir(parents=True, exist_ok=True)


def satisfy_launcher(invocation: Invocation) -> None:
    """Create an empty directory in the pod for every output that TensorFlow writes into a bucket itself.

    Without ML Metadata (after KFP 2.18) the launcher fails a task whose output is missing in the pod, and looks for
    those with gs:// as well. It uploads the files that it finds: none.
    """
    for _, artifact in _artifacts(invocation, "outputs"):
        if artifact["uri"].startswith(_DIRECT):
            directory = Path(_copies("gcs"), artifact["uri"].removeprefix(_DIRECT))
            if directory.parent.is_dir():  # no launcher otherwise: the pods of a TFJob
                directory.mkdir(exist_ok=True)


def divert_outputs(invocation: Invocation, directory: str) -> None:
    """Redirect the outputs of a worker that is not the chief, and create the export directory that TFX looks for."""
    for name, artifact in _artifacts(invocation, "outputs"):
        artifact["uri"] = os.path.join(directory, name)
        # TFX's `path_utils.serving_model_dir`; stays empty.
        Path(artifact["uri"], "Format-Serving").mkdir(parents=True)
    invocation["outputs"]["outputFile"] = os.path.join(directory, "output_metadata.json")


def local(uri: str) -> str:
    """Return the path of an artifact's local copy, or the URI itself if TensorFlow can open it."""
    for scheme, folder in _COPIED.items():
        if uri.startswith(scheme):
            return _copies(folder) + uri.removeprefix(scheme)
    return uri


def restore(invocation: Invocation) -> None:
    """Replace local paths by URIs in the result of a task that has run: the local copies end with its pod.

    This concerns KFP's `ExecutorOutput`, properties included (such as the Evaluator's `current_model`), and TFMA's
    record of the models that it compared.
    """
    written = [Path(invocation["outputs"]["outputFile"])]
    for _, artifact in _artifacts(invocation, "outputs"):
        if "://" not in artifact["uri"]:
            written += Path(artifact["uri"]).glob("eval_config.json")
    for file in written:
        files.write(file, json.dumps(_with_uris(json.loads(file.read_text(encoding="utf-8")))))


def _with_uris(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_uris(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_uris(inner) for inner in value]
    if not isinstance(value, str):
        return value
    for scheme, folder in _COPIED.items():
        # A path may be a part of the text, for example of a message.
        value = re.sub(r"(?<![\w./-])" + re.escape(_copies(folder)), scheme, value)
    return value


def _copies(folder: str) -> str:
    return os.path.join(os.environ.get(COPIES, "/"), folder, "")


def _artifacts(invocation: Invocation, side: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, artifacts in invocation.get(side, {}).get("artifacts", {}).items():
        for artifact in artifacts.get("artifacts", []):
            yield name, artifact


def _is_launcher_log(artifact: dict[str, Any]) -> bool:
    """Whether an output is the log that the launcher adds, with a type that TFX does not know."""
    return str((artifact.get("type") or {}).get("schemaTitle", "")).startswith("system.")


def _unwrap(value: Any) -> Any:
    if isinstance(value, dict) and len(value) == 1:
        key, inner = next(iter(value.items()))
        if (key == "list" and isinstance(inner, list)) or (key == "struct" and isinstance(inner, dict)):
            return inner
    return value
