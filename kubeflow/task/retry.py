"""A retry of a task finds what its earlier attempt left in a bucket, where the backend gives it the same outputs."""

import shutil
from typing import Any

from components import lean_imports

# TensorBoard's events: a Trainer that resumes from a checkpoint adds to them.
_CONTINUED = "model_run"


def clear_outputs(invocation: dict[str, Any]) -> None:
    """Delete what is in the outputs of a task. TFX expects them to be empty, as every execution elsewhere has its own.

    Args:
      invocation: with the paths or URIs that TensorFlow opens, as after `invocation.adapt`.

    Example:
      >>> clear_outputs({"outputs": {"artifacts": {"schema": {"artifacts": [{"uri": "/tmp/no/such/directory"}]}}}})
    """
    for name, artifacts in invocation.get("outputs", {}).get("artifacts", {}).items():
        for artifact in artifacts.get("artifacts", []):
            if name != _CONTINUED:
                _delete(artifact["uri"])


def _delete(uri: str) -> None:
    if "://" not in uri:
        shutil.rmtree(uri, ignore_errors=True)
        return
    lean_imports.tensorflow_without_keras()
    from tensorflow.io import gfile  # late: slow, and needed in a bucket only

    if gfile.isdir(uri):
        gfile.rmtree(uri)
