"""InfraCheck: does the exported model work in a server?

The check is `serving.probe`, in a separate process. TFX's InfraValidator needs Docker or Kubernetes, and Kubeflow's
compiler does not support it.
"""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.types.standard_artifacts import InfraBlessing, Model
from tfx.utils import path_utils

_ROOT = Path(__file__).resolve().parents[2]
_TIMEOUT_SECONDS = 600


def check(model: str) -> str:
    """Return why a SavedModel must not be served; empty if it works."""
    paths = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "serving.probe", model]
    try:
        done = subprocess.run(
            command, env=environment, cwd=_ROOT, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"the check did not finish within {_TIMEOUT_SECONDS} seconds"
    logging.info("serving.probe: %s %s", done.stdout, done.stderr)
    try:
        reason = str(json.loads(done.stdout.splitlines()[-1])["reason"])
    except (LookupError, TypeError, ValueError):  # no output, or not the probe's JSON
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return f"the check of the model ended with exit code {done.returncode}: {last}"
    return reason


@component
def InfraCheck(  # type: ignore[no-untyped-def] # noqa: N802
    model: InputArtifact[Model],
    blessing: OutputArtifact[InfraBlessing],
    sources: Parameter[str],  # noqa: ARG001 - in the cache key: an edit of the code runs the component again
):
    """Bless the model if it works in a server; properties and file are those of TFX's InfraValidator."""
    reason = check(path_utils.serving_model_path(model.uri))
    blessing.set_int_custom_property("blessed", int(not reason))
    blessing.set_string_custom_property("reason", reason)
    name = "INFRA_NOT_BLESSED" if reason else "INFRA_BLESSED"
    with fileio.open(os.path.join(blessing.uri, name), "w") as file:
        file.write(reason)
