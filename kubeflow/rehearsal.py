"""Rehearse a compiled pipeline: run its tasks on this machine, by the rules of the backend.

Every task is a separate process with the command of the compiled file, in a temporary directory. A rehearsal does not
cover the work of a cluster: scheduling pods, pulling images and mounting volumes.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components.errors import UserError
from kubeflow.compile import spec as specification
from kubeflow.task.invocation import COPIES, Invocation

REPOSITORY = Path(__file__).resolve().parent.parent
SCHEME = "minio://"
_PARALLEL_TASKS = 2
_SHOWN_LINES = 40  # of the output of a failed task


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


def run(
    text: str,
    backend: str,
    workspace: Path,
    parameters: dict[str, str] | None = None,
    report: Callable[[str], None] = print,
) -> dict[str, Outcome]:
    """Run all tasks in the order of their dependencies and return their outcomes by name.

    Args:
      text: the compiled file.
      backend: "kfp" or "vertex".
      workspace: its directory `bucket/` stands for the object store and is kept; everything else is deleted.
      parameters: run parameters that differ from the defaults.

    Raises:
      UserError: a task failed; the message ends with the last lines that it printed.
    """
    spec = specification.load(text)
    # As strict as the server: an unknown field is an error.
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    values = specification.run_parameters(spec)
    if unknown := (parameters or {}).keys() - values.keys():
        raise UserError(f"The pipeline has no such parameter. Known: {', '.join(values)}. Received: {unknown}")
    values |= parameters or {}
    run_id = f"run-{time.time_ns()}"

    def start(name: str, outcomes: dict[str, Outcome]) -> Outcome:
        return _Task(spec, name, backend, workspace, run_id).run(values, outcomes)

    return _run_in_order(specification.tasks(spec), start, report)


def _run_in_order(
    tasks: dict[str, Any], start: Callable[[str, dict[str, Outcome]], Outcome], report: Callable[[str], None]
) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    waiting = {name: set(task.get("dependentTasks", [])) for name, task in tasks.items()}
    running: dict[Future[Outcome], str] = {}
    with ThreadPoolExecutor(max_workers=_PARALLEL_TASKS) as pool:
        while waiting or running:
            for name in [name for name, needed in waiting.items() if needed <= outcomes.keys()]:
                del waiting[name]
                running[pool.submit(start, name, dict(outcomes))] = name
            if not running:
                raise UserError(f"Dependency cycle between tasks. Received: {sorted(waiting)}")
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                name = running.pop(future)
                outcomes[name] = future.result()
                report(f"{name}: {outcomes[name].seconds:.1f} s")
    return outcomes


class _Task:
    """One task of a run; its methods stand for the backend and for KFP's launcher."""

    def __init__(self, spec: specification.Spec, name: str, backend: str, workspace: Path, run_id: str) -> None:
        self._spec, self._name, self._backend, self._workspace = spec, name, backend, workspace
        self._bucket = workspace / "bucket"
        self._folder = f"{spec['pipelineInfo']['name']}/{run_id}/{name}"  # of the outputs, in the bucket

    def run(self, parameters: dict[str, Any], outcomes: dict[str, Outcome]) -> Outcome:
        """Run the task in a new directory, which stands for its pod and is deleted afterwards."""
        pod = Path(tempfile.mkdtemp(prefix=f"{self._name}-", dir=self._workspace))
        try:
            invocation = self._invocation(pod, parameters, outcomes)
            self._prepare(invocation, pod)
            began = time.monotonic()
            output = self._execute(invocation, pod)
            return Outcome(time.monotonic() - began, output, self._collect(invocation, pod))
        finally:
            shutil.rmtree(pod)

    def _invocation(self, pod: Path, parameters: dict[str, Any], outcomes: dict[str, Outcome]) -> Invocation:
        output_folder = pod if self._backend == "kfp" else self._bucket / self._folder
        invocation = {
            "inputs": {
                "parameterValues": specification.task_parameters(self._spec, self._name, parameters),
                "artifacts": self._input_artifacts(outcomes),
            },
            "outputs": {
                "artifacts": self._output_artifacts(),
                "outputFile": str(output_folder / "kfp_outputs" / "output_metadata.json"),
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
        # On Vertex AI, a local directory stands for the bucket gs://..., which TensorFlow opens itself.
        root = f"{SCHEME}bucket/{self._folder}" if self._backend == "kfp" else str(self._bucket / self._folder)
        outputs = {}
        for key, output in declared.items():
            artifact = {
                "name": f"projects/1/artifacts/{self._folder}-{key}".replace("/", "-"),
                "uri": f"{root}/{key}",
                "type": output["artifactType"],
                "metadata": output.get("metadata", {}),
            }
            outputs[key] = {"artifacts": [artifact]}
        return outputs

    def _prepare(self, invocation: Invocation, pod: Path) -> None:
        """Create the files that the task finds when it starts."""
        if self._backend == "kfp":
            for artifact in _artifacts(invocation["inputs"]):
                _copy_files(self._stored(artifact["uri"]), _local_copy(artifact["uri"], pod))
        for artifact in _artifacts(invocation["outputs"]):
            # As the launcher does: the parent directory only.
            _local_copy(artifact["uri"], pod).parent.mkdir(parents=True, exist_ok=True)
        (pod / "work").mkdir()
        (pod / "tmp").mkdir()

    def _execute(self, invocation: Invocation, pod: Path) -> str:
        container = specification.container(self._spec, self._name)
        command = [*container["command"], *container["args"]]
        done = subprocess.run(
            [argument.replace("{{$}}", json.dumps(invocation)) for argument in command],
            cwd=pod / "work",
            env=_environment(pod),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            end = "\n".join(done.stdout.splitlines()[-_SHOWN_LINES:])
            raise UserError(f"The task {self._name} ended with code {done.returncode}. It printed last:\n{end}")
        return done.stdout

    def _collect(self, invocation: Invocation, pod: Path) -> dict[str, dict[str, Any]]:
        """Return the output artifacts as the backend passes them on; upload their files."""
        result = json.loads(Path(invocation["outputs"]["outputFile"]).read_text())
        json_format.ParseDict(result, pipeline_spec_pb2.ExecutorOutput())
        collected = {}
        for key, artifacts in invocation["outputs"].get("artifacts", {}).items():
            artifact = artifacts["artifacts"][0]
            for reported in result.get("artifacts", {}).get(key, {}).get("artifacts", [])[:1]:
                artifact["uri"] = reported.get("uri", artifact["uri"])
                artifact["metadata"] = artifact.get("metadata", {}) | reported.get("metadata", {})
            if self._backend == "kfp":
                _copy_files(_local_copy(artifact["uri"], pod), self._stored(artifact["uri"]))
                artifact["type"] = {"instanceSchema": ""}
                artifact["metadata"] = {name: _wrapped(value) for name, value in artifact["metadata"].items()}
            collected[key] = artifact
        return collected

    def _stored(self, uri: str) -> Path:
        if not uri.startswith(f"{SCHEME}bucket/"):
            raise UserError(f"{self._name} wrote an artifact outside of its bucket. Received: {uri}")
        return self._bucket / uri.removeprefix(f"{SCHEME}bucket/")


def _environment(pod: Path) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if key not in ("TF_CONFIG", "KERAS_BACKEND")}
    return inherited | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": str(REPOSITORY),  # as in the image
        "HOME": str(pod),
        "TMPDIR": str(pod / "tmp"),
        COPIES: str(pod / "copies"),
    }


def _local_copy(uri: str, pod: Path) -> Path:
    return pod / "copies" / "minio" / uri.removeprefix(SCHEME) if uri.startswith(SCHEME) else Path(uri)


def _copy_files(source: Path, target: Path) -> None:
    """Copy files only: an object store has no directories, so empty ones are lost. An artifact may be one file."""
    for file in [source] if source.is_file() else source.rglob("*"):
        if file.is_file():
            to = target / file.relative_to(source)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, to)


def _artifacts(side: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for artifacts in side.get("artifacts", {}).values():
        yield from artifacts["artifacts"]


def _wrapped(value: Any) -> Any:
    """Return a metadata value as ML Metadata returns it to open-source Kubeflow Pipelines."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, list):
        return {"list": value}
    return {"struct": value} if isinstance(value, dict) else value
