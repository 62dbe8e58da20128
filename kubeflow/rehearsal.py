"""Run a compiled pipeline on this machine, task by task, under the rules of the back end: a rehearsal.

Every task is a fresh process with the very command of the file, in a directory of its own that is gone afterwards.
What a cluster does besides - scheduling pods, pulling images, mounting volumes - is not rehearsed.
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

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components.errors import UserError
from kubeflow.compile import spec as specification
from kubeflow.task.invocation import COPIES

SCHEME = "minio://"
AT_ONCE = 2  # tasks at the same time


@dataclass
class Outcome:
    """How a task ended.

    Attributes:
      seconds: wall time.
      output: what it printed.
      artifacts: of each output, as the back end would hand it to the next task.
    """

    seconds: float
    output: str
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)


def run(
    text: str,
    backend: str,
    workspace: Path,
    parameters: dict[str, str] | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Outcome]:
    """Run all tasks in the order of their dependencies.

    Args:
      text: of the compiled file.
      backend: whose rules hold, "kfp" or "vertex".
      workspace: `bucket/` below it stands for the object store and stays; the rest is removed.
      parameters: of the run, where they differ from the defaults.

    Raises:
      UserError: a task failed; the message has the end of what it printed.
    """
    spec = next(iter(yaml.safe_load_all(text)))
    # As strict as the server: an unknown field is an error.
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    values = {name: parameter["defaultValue"] for name, parameter in declared.items()} | (parameters or {})
    if unknown := values.keys() - declared.keys():
        raise UserError(f"The pipeline has no such parameter. Known: {', '.join(declared)}. Received: {unknown}")
    run_id = f"run-{time.time_ns()}"
    outcomes: dict[str, Outcome] = {}
    waiting = {name: set(task.get("dependentTasks", [])) for name, task in specification.tasks(spec).items()}
    running: dict[Future[Outcome], str] = {}
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        while waiting or running:
            for name in [name for name, needs in waiting.items() if needs <= outcomes.keys()]:
                del waiting[name]
                running[pool.submit(_Task(spec, name, backend, workspace, run_id).run, values, dict(outcomes))] = name
            if not running:
                raise UserError(f"Tasks wait for each other for ever. Received: {sorted(waiting)}")
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                name = running.pop(future)
                outcomes[name] = future.result()
                say(f"{name}: {outcomes[name].seconds:.1f} s")
    return outcomes


class _Task:
    def __init__(self, spec: specification.Spec, name: str, backend: str, workspace: Path, run_id: str) -> None:
        self._name, self._backend, self._bucket = name, backend, workspace / "bucket"
        self._task = specification.tasks(spec)[name]
        self._component = spec["components"][self._task["componentRef"]["name"]]
        self._container = specification.container(spec, name)
        self._root = f"{spec['pipelineInfo']['name']}/{run_id}/{name}"
        self._workspace = workspace

    def run(self, parameters: dict[str, Any], outcomes: dict[str, Outcome]) -> Outcome:
        pod = Path(tempfile.mkdtemp(prefix=f"{self._name}-", dir=self._workspace))
        try:
            return self._in(pod, parameters, outcomes)
        finally:
            shutil.rmtree(pod)

    def _in(self, pod: Path, parameters: dict[str, Any], outcomes: dict[str, Outcome]) -> Outcome:
        invocation = self._invocation(pod, parameters, outcomes)
        for artifact in _each(invocation["inputs"]):
            self._download(artifact["uri"], pod)
        for artifact in _each(invocation["outputs"]):
            # The launcher makes the parent only.
            self._copy_of(artifact["uri"], pod).parent.mkdir(parents=True, exist_ok=True)
        (pod / "work").mkdir()
        (pod / "tmp").mkdir()
        command = [*self._container["command"], *self._container["args"]]
        command = [argument.replace("{{$}}", json.dumps(invocation)) for argument in command]
        repository = str(Path(__file__).resolve().parent.parent)
        environment = {
            **{key: value for key, value in os.environ.items() if key not in ("TF_CONFIG", "KERAS_BACKEND")},
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            "PYTHONPATH": repository,  # as the image has it
            "HOME": str(pod),
            "TMPDIR": str(pod / "tmp"),
            COPIES: str(pod / "copies"),
        }
        began = time.monotonic()
        done = subprocess.run(
            command,
            cwd=pod / "work",
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        seconds = time.monotonic() - began
        if done.returncode:
            end = "\n".join(done.stdout.splitlines()[-40:])
            raise UserError(f"The task {self._name} ended with code {done.returncode}. It printed last:\n{end}")
        return Outcome(seconds, done.stdout, self._collect(invocation, pod))

    def _invocation(self, pod: Path, parameters: dict[str, Any], outcomes: dict[str, Outcome]) -> dict[str, Any]:
        given = self._task.get("inputs", {})
        values = {
            key: parameters[source["componentInputParameter"]]
            if "componentInputParameter" in source
            else source["runtimeValue"]["constant"]
            for key, source in given.get("parameters", {}).items()
        }
        inputs = {}
        for key, source in given.get("artifacts", {}).items():
            producer = source["taskOutputArtifact"]
            artifact = outcomes[producer["producerTask"]].artifacts[producer["outputArtifactKey"]]
            inputs[key] = {"artifacts": [artifact]}
        outputs = {}
        for key, output in self._component.get("outputDefinitions", {}).get("artifacts", {}).items():
            uri = f"{SCHEME}bucket/{self._root}/{key}"
            if self._backend == "vertex":
                uri = str(self._bucket / self._root / key)  # stands for gs://, which TensorFlow opens
            outputs[key] = {
                "artifacts": [
                    {
                        "name": f"projects/1/artifacts/{self._root}-{key}".replace("/", "-"),
                        "uri": uri,
                        "type": output["artifactType"],
                        "metadata": output.get("metadata", {}),
                    }
                ]
            }
        folder = pod if self._backend == "kfp" else self._bucket / self._root
        invocation = {
            "inputs": {"parameterValues": values, "artifacts": inputs},
            "outputs": {"artifacts": outputs, "outputFile": str(folder / "kfp_outputs" / "output_metadata.json")},
        }
        # Through the definition and back: what the back end could not say, no task gets to see.
        message = json_format.ParseDict(invocation, pipeline_spec_pb2.ExecutorInput())
        return dict(json_format.MessageToDict(message))

    def _collect(self, invocation: dict[str, Any], pod: Path) -> dict[str, dict[str, Any]]:
        answer = json.loads(Path(invocation["outputs"]["outputFile"]).read_text())
        json_format.ParseDict(answer, pipeline_spec_pb2.ExecutorOutput())
        collected = {}
        for key, artifacts in invocation["outputs"].get("artifacts", {}).items():
            artifact = artifacts["artifacts"][0]
            for told in answer.get("artifacts", {}).get(key, {}).get("artifacts", [])[:1]:
                artifact["uri"] = told.get("uri", artifact["uri"])
                artifact["metadata"] = artifact.get("metadata", {}) | told.get("metadata", {})
            if self._backend == "kfp":
                self._upload(artifact["uri"], pod)
                artifact["type"] = {"instanceSchema": ""}
                artifact["metadata"] = {name: _wrapped(value) for name, value in artifact["metadata"].items()}
            collected[key] = artifact
        return collected

    def _copy_of(self, uri: str, pod: Path) -> Path:
        return pod / "copies" / "minio" / uri.removeprefix(SCHEME) if uri.startswith(SCHEME) else Path(uri)

    def _stored(self, uri: str) -> Path:
        if not uri.startswith(f"{SCHEME}bucket/"):
            raise UserError(f"{self._name} named an artifact outside of its bucket. Received: {uri}")
        return self._bucket / uri.removeprefix(f"{SCHEME}bucket/")

    def _download(self, uri: str, pod: Path) -> None:
        if self._backend == "kfp":
            _copy_files(self._stored(uri), self._copy_of(uri, pod))

    def _upload(self, uri: str, pod: Path) -> None:
        _copy_files(self._copy_of(uri, pod), self._stored(uri))


def _copy_files(source: Path, target: Path) -> None:
    """Copy files alone: an object store knows no directories, so empty ones are lost."""
    for file in source.rglob("*"):
        if file.is_file():
            to = target / file.relative_to(source)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, to)


def _each(side: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for artifacts in side.get("artifacts", {}).values():
        yield from artifacts["artifacts"]


def _wrapped(value: Any) -> Any:
    """Metadata as ML Metadata gives it back to open-source Kubeflow Pipelines."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, list):
        return {"list": value}
    return {"struct": value} if isinstance(value, dict) else value
