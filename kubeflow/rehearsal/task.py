"""One task of a run: a process with the command of the compiled file, in a directory that stands for its pod."""

import copy
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components.errors import UserError
from kubeflow.compile import spec as specification
from kubeflow.rehearsal import failure
from kubeflow.rehearsal.backends import Vertex
from kubeflow.task.invocation import COPIES, Invocation

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class Outcome:
    """Result of a task. Example: tests/kubeflow/test_rehearsal_kfp.py.

    Attributes:
      seconds: wall time.
      output: text that the task printed.
      artifacts: output artifacts by name, as the backend passes them to the next task.
    """

    seconds: float
    output: str
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)


class Task:
    """One task of a run; its methods stand for the backend and its launcher.

    Args:
      spec: the compiled pipeline.
      name: of the task.
      rules: of the backend.
      workspace: directory of the object store and of the pods.
      run_id: name of the run in the object store.

    Example: tests/kubeflow/rehearsal/test_order.py.
    """

    def __init__(self, spec: specification.Spec, name: str, rules: type[Vertex], workspace: Path, run_id: str) -> None:
        self._spec, self._name = spec, name
        self._folder = f"{spec['pipelineInfo']['name']}/{run_id}/{name}"  # of the outputs, in the bucket
        # Stands for the pod.
        self._pod = Path(tempfile.mkdtemp(prefix=f"{self._name}-", dir=workspace))
        self._rules = rules(workspace / "bucket", self._pod)

    def run(self, parameters: dict[str, Any], outcomes: dict[str, Outcome]) -> Outcome:
        """Run the task, and delete its pod.

        Raises:
          UserError: the task failed, or the backend would fail it.
        """
        try:
            invocation = self._invocation(parameters, outcomes)
            self._prepare(invocation)
            began = time.monotonic()
            output = self._execute(invocation)
            return Outcome(time.monotonic() - began, output, self._collect(invocation))
        finally:
            shutil.rmtree(self._pod)

    def _invocation(self, parameters: dict[str, Any], outcomes: dict[str, Outcome]) -> Invocation:
        invocation = {
            "inputs": {
                "parameterValues": specification.task_parameters(self._spec, self._name, parameters),
                "artifacts": self._input_artifacts(outcomes),
            },
            "outputs": {
                "artifacts": self._output_artifacts(),
                "outputFile": str(self._rules.output_file(self._folder)),
            },
        }
        # A round trip through the message: the task sees only what the backend can express.
        message = json_format.ParseDict(invocation, pipeline_spec_pb2.ExecutorInput())
        return dict(json_format.MessageToDict(message))

    def _input_artifacts(self, outcomes: dict[str, Outcome]) -> dict[str, Any]:
        inputs = {}
        for key, source in specification.tasks(self._spec)[self._name].get("inputs", {}).get("artifacts", {}).items():
            producer = source["taskOutputArtifact"]
            artifact = outcomes[producer["producerTask"]].artifacts[producer["outputArtifactKey"]]
            inputs[key] = {"artifacts": [artifact]}
        return inputs

    def _output_artifacts(self) -> dict[str, Any]:
        declared = specification.component(self._spec, self._name).get("outputDefinitions", {}).get("artifacts", {})
        outputs = {}
        for key, output in declared.items():
            artifact = {
                "name": f"projects/1/artifacts/{self._folder}-{key}".replace("/", "-"),
                "uri": f"{self._rules.root()}/{self._folder}/{key}",
                "type": output["artifactType"],
                "metadata": output.get("metadata", {}),
            }
            outputs[key] = {"artifacts": [artifact]}
        return outputs

    def _prepare(self, invocation: Invocation) -> None:
        """Create the files that the task finds when it starts."""
        for artifact in _artifacts(invocation["inputs"]):
            self._rules.download(artifact)
        for artifact in _artifacts(invocation["outputs"]):
            # As the launcher does: the parent directory only.
            self._rules.local(artifact["uri"]).parent.mkdir(parents=True, exist_ok=True)
        (self._pod / "work").mkdir()
        (self._pod / "tmp").mkdir()

    def _execute(self, invocation: Invocation) -> str:
        container = specification.container(self._spec, self._name)
        given = json.dumps(self._rules.invocation(copy.deepcopy(invocation)))
        done = subprocess.run(
            [argument.replace("{{$}}", given) for argument in (*container["command"], *container["args"])],
            cwd=self._pod / "work",
            env=_environment(self._pod)
            | {variable["name"]: variable["value"] for variable in container.get("env", [])},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise UserError(failure.describe(self._name, done.returncode, done.stdout))
        return done.stdout

    def _collect(self, invocation: Invocation) -> dict[str, dict[str, Any]]:
        """Return the output artifacts as the backend passes them on; upload their files."""
        file = Path(invocation["outputs"]["outputFile"])
        result = json.loads(file.read_text()) if file.exists() else {}  # optional for a task without outputs
        json_format.ParseDict(result, pipeline_spec_pb2.ExecutorOutput())
        collected = {}
        for key, artifacts in invocation["outputs"].get("artifacts", {}).items():
            artifact = artifacts["artifacts"][0]
            for reported in result.get("artifacts", {}).get(key, {}).get("artifacts", [])[:1]:
                artifact["uri"] = reported.get("uri", artifact["uri"])
                artifact["metadata"] = artifact.get("metadata", {}) | reported.get("metadata", {})
            artifact = {"metadata": {}} | artifact
            self._rules.upload(artifact)
            collected[key] = self._rules.passed_on(artifact)
        return collected


def _environment(pod: Path) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if key not in ("TF_CONFIG", "KERAS_BACKEND")}
    return inherited | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": str(REPOSITORY),  # as in the image
        "HOME": str(pod),
        "TMPDIR": str(pod / "tmp"),
        COPIES: str(pod / "copies"),
    }


def _artifacts(side: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for artifacts in side.get("artifacts", {}).values():
        yield from artifacts["artifacts"]
