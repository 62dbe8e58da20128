"""The rules of each backend: where artifacts are, what a pod finds and leaves, and what the next task gets.

They follow the sources of the launchers of Kubeflow Pipelines 2.x, and of those after 2.18, without ML Metadata.
"""

import shutil
from pathlib import Path
from typing import Any

from components.errors import UserError

Artifact = dict[str, Any]


class Vertex:
    """Vertex AI. A local directory stands for the bucket gs://..., which TensorFlow opens itself.

    Args:
      bucket: the directory that stands for the object store.
      pod: the directory that stands for the pod of one task.
    """

    compiled_for = "vertex"

    def __init__(self, bucket: Path, pod: Path) -> None:
        self._bucket, self._pod = bucket, pod

    def root(self) -> str:
        """Return the URI of the object store."""
        return str(self._bucket)

    def output_file(self, folder: str) -> Path:
        """Return where the task writes its result."""
        return self._bucket / folder / "kfp_outputs" / "output_metadata.json"

    def invocation(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return what the task gets: its invocation, with the backend's additions."""
        return message

    def local(self, uri: str) -> Path:
        """Return the path of an artifact in the pod."""
        return Path(uri)

    def download(self, artifact: Artifact) -> None:
        """Copy an input into the pod."""

    def upload(self, artifact: Artifact) -> None:
        """Copy an output out of the pod.

        Raises:
          UserError: the backend would fail the task.
        """

    def passed_on(self, artifact: Artifact) -> Artifact:
        """Return an output as the next task gets it."""
        return artifact

    @staticmethod
    def final_status(failure: str) -> dict[str, Any]:
        """Return what the exit task gets about the other tasks, of which one failed unless the text is empty."""
        error = {"error": {"message": failure}} if failure else {}
        return {"state": "FAILED" if failure else "SUCCEEDED", "pipelineTaskName": "pipeline", **error}


class KubeflowPipelines(Vertex):
    """Open-source Kubeflow Pipelines up to 2.18: the launcher copies artifacts; ML Metadata keeps no types."""

    compiled_for = "kfp"
    _SCHEME = "minio://"

    def root(self) -> str:
        """Return the URI of the object store."""
        return f"{self._SCHEME}bucket"

    def output_file(self, folder: str) -> Path:  # noqa: ARG002 - for another backend
        """Return where the task writes its result."""
        return self._pod / "kfp_outputs" / "output_metadata.json"

    def local(self, uri: str) -> Path:
        """Return the path of an artifact's local copy."""
        scheme, found, path = uri.partition("://")
        return self._pod / "copies" / {"gs": "gcs"}.get(scheme, scheme) / path if found else Path(uri)

    def download(self, artifact: Artifact) -> None:
        """Copy an input into the pod."""
        _copy_files(self._stored(artifact["uri"]), self.local(artifact["uri"]))

    def upload(self, artifact: Artifact) -> None:
        """Copy an output out of the pod, if there is one."""
        _copy_files(self.local(artifact["uri"]), self._stored(artifact["uri"]))

    def passed_on(self, artifact: Artifact) -> Artifact:
        """Return an output as ML Metadata returns it: without its type, lists and mappings wrapped."""
        metadata = {name: _wrapped(value) for name, value in artifact["metadata"].items()}
        return artifact | {"type": {"instanceSchema": ""}, "metadata": metadata}

    @staticmethod
    def final_status(failure: str) -> dict[str, Any]:
        """Return the state in ML Metadata, which has no message."""
        return {"state": "FAILED" if failure else "COMPLETE", "pipelineTaskName": "pipeline", "error": {}}

    def _stored(self, uri: str) -> Path:
        if not uri.startswith(f"{self.root()}/"):
            raise UserError(
                f"The task has an artifact outside of its bucket, which the launcher cannot copy. Write it below the "
                f"directory of the task's output. Received: {uri}"
            )
        return self._bucket / uri.removeprefix(f"{self.root()}/")


class WithoutMlMetadata(KubeflowPipelines):
    """Open-source Kubeflow Pipelines after 2.18: types have another form, and every output must be in the pod."""

    def invocation(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return the invocation with the launcher's log, and with fields that older releases do not have."""
        for side in ("inputs", "outputs"):
            for key, artifacts in message.get(side, {}).get("artifacts", {}).items():
                for artifact in artifacts["artifacts"]:
                    artifact["artifactId"] = f"{side}-{key}"
        log = {"uri": f"{self.root()}/executor-logs", "type": {"schemaTitle": "system.Artifact"}}
        message["outputs"].setdefault("artifacts", {})["executor-logs"] = {"artifacts": [log]}
        return message

    def upload(self, artifact: Artifact) -> None:
        """Copy an output out of the pod.

        Raises:
          UserError: there is none, which fails the task whatever the scheme of its URI; or a metric is no number.
        """
        if artifact["type"].get("schemaTitle") == "system.Metrics":  # stored in the database, number by number
            if wrong := [key for key, value in artifact["metadata"].items() if type(value) not in (int, float)]:
                raise UserError(f"Kubeflow Pipelines after 2.18 accepts only numbers as metrics. Received: {wrong}")
            return
        local = self.local(artifact["uri"])
        if not local.exists():
            raise UserError(
                "The task left no such output in its pod, for which Kubeflow Pipelines after 2.18 fails it. Create "
                f"this directory, even if it remains empty. Received: {artifact['uri']}, {local}"
            )
        if not artifact["uri"].startswith("gs://"):  # nothing in the pod: the task wrote into the bucket itself
            super().upload(artifact)

    @staticmethod
    def final_status(failure: str) -> dict[str, Any]:
        """Return the state of the API server's task, with the message of the one that failed."""
        return Vertex.final_status(failure)

    def passed_on(self, artifact: Artifact) -> Artifact:
        """Return an output as the API server returns it: the text of its schema in the field for a title."""
        kind = artifact["type"]
        return artifact | {"type": {"schemaTitle": kind.get("schemaTitle", kind.get("instanceSchema"))}}


BACKENDS: dict[str, type[Vertex]] = {"kfp": KubeflowPipelines, "kfp-next": WithoutMlMetadata, "vertex": Vertex}


def _copy_files(source: Path, target: Path) -> None:
    """Copy files only: an object store has no directories, so empty ones are lost. An artifact may be one file."""
    for file in [source] if source.is_file() else source.rglob("*"):
        if file.is_file():
            to = target / file.relative_to(source)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, to)


def _wrapped(value: Any) -> Any:
    """Return a metadata value as ML Metadata returns it to open-source Kubeflow Pipelines."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, list):
        return {"list": value}
    return {"struct": value} if isinstance(value, dict) else value
