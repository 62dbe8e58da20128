"""Resources, node selectors, tolerations, volumes and paths of the pods that run the components."""

from typing import Any

from kubeflow.compile import spec as specification
from pipeline.config.places import Places
from pipeline.config.run import Config

# Components that read or write outside of artifacts: staged corpora, checkpoints and registry; served versions.
_NEED_STATE = ("CorpusExampleGen", "Tuner", "Trainer", "LastBlessed", "Pusher")
_NEED_SERVING = ("LastBlessed", "Pusher")


def places(config: Config) -> Places:
    """Return the paths of a run on the cluster."""
    return Places(config.model_copy(update={"root": config.cluster.root, "serving_dir": serving_dir(config)}))


def serving_dir(config: Config) -> str:
    """Return the serving directory as the pods see it; by default the servers' mount path."""
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
    """Return the second YAML document for Kubeflow Pipelines, with the settings that are specific to Kubernetes."""
    executors = {}
    for task in specification.tasks(spec):
        pod = config.cluster.pods.of(task)
        settings: dict[str, Any] = {}
        if mounts := _mounts(task, config):
            settings["pvcMount"] = mounts
        if pod.node_selector:
            settings["nodeSelector"] = {"labels": dict(label.split("=", 1) for label in pod.node_selector)}
        if pod.tolerations:
            settings["tolerations"] = [toleration.model_dump(exclude_defaults=False) for toleration in pod.tolerations]
        if settings:
            executors[f"{task}_executor"] = settings
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


def _mounts(task: str, config: Config) -> list[dict[str, str]]:
    volumes = (
        (_NEED_STATE, config.cluster.root, config.cluster.state_claim),
        (_NEED_SERVING, serving_dir(config), config.serving.volume_claim),
    )
    return [
        {"constant": claim, "mountPath": path.rstrip("/")}
        for users, path, claim in volumes
        if task in users and "://" not in path
    ]
