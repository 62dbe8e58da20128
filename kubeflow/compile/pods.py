"""Resources, retries, time-outs, node selectors, secrets, volumes and paths of the pods that run the components."""

from collections.abc import Sequence
from typing import Any

from components.errors import UserError
from kubeflow.compile import spec as specification
from pipeline.config.places import Places
from pipeline.config.pods import DefaultPod
from pipeline.config.run import Config

# Components that read or write outside of artifacts: staged corpora, checkpoints and registry; served versions.
_NEED_STATE = ("CorpusExampleGen", "DriftCheck", "Tuner", "Trainer", "LastBlessed", "Pusher", "BulkInference")
_NEED_SERVING = ("LastBlessed", "Pusher", "BulkInference")
# `backoffMaxDuration` in seconds. Argo, below Kubeflow Pipelines, counts it from the start of the first attempt: after
# it nothing is started again, and a running attempt is ended. On Vertex AI it is the longest pause, one hour at most.
_RETRY_WINDOWS = {"kfp": 60 * 24 * 3600, "vertex": 3600}
_WITH_TIMEOUT = {"kubeflow.entrypoint", "kubeflow.report"}  # the modules that end a task after its time-out
_START_SECONDS = 600  # for pulling the image and copying artifacts, which count towards a pod's deadline


def places(config: Config) -> Places:
    """Return the paths of a run on the cluster."""
    return Places(config.model_copy(update={"root": config.cluster.root, "serving_dir": serving_dir(config)}))


def serving_dir(config: Config) -> str:
    """Return the serving directory as the pods see it; by default the servers' mount path."""
    return config.cluster.serving_dir or config.serving.mount_path


def configure(spec: specification.Spec, config: Config, backend: str) -> None:
    """Write resources, the retry policy and the time-out of every task into the specification."""
    for task in specification.tasks(spec):
        pod = config.cluster.pods.of(task)
        container = specification.container(spec, task)
        container["resources"] = _resources(pod, config, backend)
        if pod.timeout_seconds and _WITH_TIMEOUT.intersection(container["command"]):
            container["args"][:0] = ["--timeout_seconds", str(pod.timeout_seconds)]
        if pod.retries:
            specification.tasks(spec)[task]["retryPolicy"] = {
                "maxRetryCount": pod.retries,
                "backoffDuration": f"{config.cluster.retry_seconds}s",
                "backoffFactor": 2.0,
                "backoffMaxDuration": f"{_RETRY_WINDOWS[backend]}s",
            }


def _resources(pod: DefaultPod, config: Config, backend: str) -> dict[str, Any]:
    resources: dict[str, Any] = {
        "cpuRequest": pod.cpu,
        "cpuLimit": pod.cpu_limit,
        "memoryRequest": pod.memory_gb,
        "memoryLimit": pod.memory_limit_gb,
    }
    if pod.gpus:
        accelerator = config.cluster.gpu_resource if backend == "kfp" else config.cluster.vertex_gpu
        resources["accelerator"] = {"type": accelerator, "count": str(pod.gpus)}
    return resources


def platform_document(spec: specification.Spec, config: Config) -> dict[str, Any]:
    """Return the second YAML document for Kubeflow Pipelines, with the settings that are specific to Kubernetes."""
    executors = {f"{task}_executor": _executor(task, config) for task in specification.tasks(spec)}
    kubernetes: dict[str, Any] = {
        "deploymentSpec": {"executors": {name: settings for name, settings in executors.items() if settings}}
    }
    if config.cluster.run_timeout_seconds:
        kubernetes["pipelineConfig"] = {"activeDeadlineSeconds": config.cluster.run_timeout_seconds}
    return {"platforms": {"kubernetes": kubernetes}}


def _executor(task: str, config: Config) -> dict[str, Any]:
    """Return a task's settings as a `KubernetesExecutorConfig` of kfp-kubernetes, without those that are not set."""
    pod = config.cluster.pods.of(task)
    metadata = {"labels": pairs(pod.labels), "annotations": pairs(pod.annotations)}
    settings = {
        "pvcMount": _mounts(task, config),
        "nodeSelector": {"labels": pairs(pod.node_selector)} if pod.node_selector else {},
        "tolerations": [toleration.model_dump() for toleration in pod.tolerations],
        "podMetadata": {kind: values for kind, values in metadata.items() if values},
        "imagePullSecret": [{"secretName": name} for name in config.cluster.image_pull_secrets],
        "secretAsEnv": [
            {"secretName": variable.secret, "keyToEnv": [{"secretKey": variable.key, "envVar": variable.name}]}
            for variable in pod.secret_variables
        ],
        # The task itself ends first, with a message in its log.
        "activeDeadlineSeconds": pod.timeout_seconds and pod.timeout_seconds + _START_SECONDS,
    }
    return {name: value for name, value in settings.items() if value}


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """Return labels or annotations as Kubernetes writes them.

    >>> pairs(["pool=gpu"])
    {'pool': 'gpu'}
    """
    return dict(text.split("=", 1) for text in texts)


def check_on_vertex(config: Config) -> None:
    """Reject settings for which Vertex AI Pipelines has no field.

    Raises:
      UserError: one of them is set.
    """
    for key in ("image_pull_secrets", "run_timeout_seconds"):
        if value := getattr(config.cluster, key):
            raise _not_on_vertex(f"cluster.{key}={value}")
    for name in ("default", *type(config.cluster.pods).model_fields):
        pod = getattr(config.cluster.pods, name)
        for key in ("node_selector", "tolerations", "labels", "annotations", "secret_variables"):
            if getattr(pod, key):
                raise _not_on_vertex(f"cluster.pods.{name}.{key}")


def _not_on_vertex(received: str) -> UserError:
    return UserError(
        "Vertex AI chooses the machines itself, and its pipelines have neither node selectors, tolerations, labels, "
        "annotations and secrets of tasks, nor a time-out of a run. Leave them out, or compile with --backend kfp. "
        f"Received: {received}"
    )


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
