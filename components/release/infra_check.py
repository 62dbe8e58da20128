"""InfraCheck: does the exported model work for a server?

`serving.probe` finds out in a separate process. TFX's InfraValidator knows Docker and Kubernetes
only and cannot be compiled for Kubeflow.
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
    """Why a SavedModel must not be served; empty if nothing speaks against it."""
    paths = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "serving.probe", model]
    try:
        done = subprocess.run(
            command, env=environment, cwd=_ROOT, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"the check did not end within {_TIMEOUT_SECONDS} seconds"
    logging.info("infra probe: %s %s", done.stdout, done.stderr)
    try:
        reason = str(json.loads(done.stdout.splitlines()[-1])["reason"])
    except (LookupError, TypeError, ValueError):  # no output, or not the probe's answer
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return f"the process that used the model ended with code {done.returncode}: {last}"
    return reason


@component
def InfraCheck(  # type: ignore[no-untyped-def] # noqa: N802
    model: InputArtifact[Model],
    blessing: OutputArtifact[InfraBlessing],
    sources: Parameter[str],  # noqa: ARG001 - an edit of the code runs it again
):
    """Bless the model for the infrastructure; properties and file are those of TFX's InfraValidator."""
    reason = check(path_utils.serving_model_path(model.uri))
    blessing.set_int_custom_property("blessed", int(not reason))
    blessing.set_string_custom_property("reason", reason)
    name = "INFRA_NOT_BLESSED" if reason else "INFRA_BLESSED"
    with fileio.open(os.path.join(blessing.uri, name), "w") as file:
        file.write(reason)
