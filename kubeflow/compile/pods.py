"""Resources, node selectors, tolerations and volumes of the pods that run the components."""

from typing import Any

from components.errors import UserError
from kubeflow.compile import spec as specification
from pipeline.config.run import Config

# Who touches what lies outside of artifacts: staged corpora, checkpoints and the registry; served versions.
NEED_STATE = ("CorpusExampleGen", "Tuner", "Trainer", "LastBlessed", "Pusher")
NEED_SERVING = ("LastBlessed", "Pusher")


def serving_dir(config: Config) -> str:
    """Where the pods see the serving directory: at the servers' own mount path, unless it is somewhere else."""
    return config.cluster.serving_dir or config.serving.mount_path


def set_resources(spec: specification.Spec, config: Config, backend: str) -> None:
    """Write requests and limits of CPU, memory and accelerators into the containers."""
    cluster = config.cluster
    accelerator = cluster.gpu_resource if backend == "kfp" else cluster.vertex_gpu
    for task in specification.tasks(spec):
        pod = cluster.pods.of(task)
        resources: dict[str, Any] = {
            "cpuRequest": pod.cpu,
            "cpuLimit": pod.cpu,
            "memoryRequest": pod.memory_gb,
            "memoryLimit": pod.memory_gb,
        }
        if pod.gpus:
            resources["accelerator"] = {"type": accelerator, "count": str(pod.gpus)}
        specification.container(spec, task)["resources"] = resources


def platform_document(spec: specification.Spec, config: Config) -> dict[str, Any]:
    """The second YAML document of Kubeflow Pipelines: all that only Kubernetes understands."""
    executors = {}
    for task in specification.tasks(spec):
        pod = config.cluster.pods.of(task)
        settings: dict[str, Any] = {}
        if mounts := list(_mounts(task, config)):
            settings["pvcMount"] = mounts
        if pod.node_selector:
            settings["nodeSelector"] = {"labels": dict(label.split("=", 1) for label in pod.node_selector)}
        if pod.tolerations:
            settings["tolerations"] = [toleration.model_dump(exclude_defaults=False) for toleration in pod.tolerations]
        if settings:
            executors[f"{task}_executor"] = settings
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


def _mounts(task: str, config: Config) -> list[dict[str, str]]:
    wanted = (
        (NEED_STATE, config.cluster.root, config.cluster.state_claim),
        (NEED_SERVING, serving_dir(config), config.serving.volume_claim),
    )
    return [
        {"constant": claim, "mountPath": path.rstrip("/")}
        for users, path, claim in wanted
        if task in users and "://" not in path
    ]


def refuse_on_vertex(config: Config) -> None:
    """Raise `UserError` for settings that Vertex AI has no means for."""
    for name in ("default", *type(config.cluster.pods).model_fields):
        pod = getattr(config.cluster.pods, name)
        if pod.node_selector or pod.tolerations:
            raise UserError(
                "Vertex AI chooses the machines itself and takes neither node selectors nor tolerations. Leave them "
                f"out, or compile with --backend kfp. Received: cluster.pods.{name}"
            )
