"""The pod of a model server: the same under a Deployment and under KServe."""

import hashlib
from typing import Any

from pipeline.config.serving import ServingSettings
from serving.manifests import health
from serving.manifests.objects import selector
from serving.tf_serving.flags import METRICS_PATH, flag_files, flags

# Pods are replaced one by one, each only when its successor is ready.
ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
_FIXED = "/config"  # directory, inside the container, of the files that do not change
_MODELS, _CONFIG, _SCRATCH = "models", "config", "scratch"  # names of volumes


def annotations(settings: ServingSettings) -> dict[str, str]:
    """Return annotations for Prometheus, and a digest that replaces the pods when their files change."""
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(settings.rest_port),
        "prometheus.io/path": METRICS_PATH,
        # Servers read these files at the start only.
        "char-rnn/config-digest": hashlib.sha256(repr(flag_files(settings)).encode()).hexdigest()[:16],
    }


def config_map(name: str) -> str:
    """Return the name of the ConfigMap with the files that do not change."""
    return f"{name}-config"


def spec(settings: ServingSettings, model: str, name: str, bucket: str | None, container: str) -> dict[str, Any]:
    """Return the pod's specification.

    Args:
      name: of the model's objects.
      bucket: the serving directory, if it is in a bucket, gs://...; None: it is the volume.
      container: name of the container.
    """
    claim = {"name": _MODELS, "persistentVolumeClaim": {"claimName": settings.volume_claim, "readOnly": True}}
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": settings.user_id,
            "runAsGroup": settings.user_id,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        # TF Serving ends at once on SIGTERM: the pause in preStop lets running requests finish first.
        "terminationGracePeriodSeconds": settings.stop_seconds + 10,
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector(name)},
            }
        ],
        "containers": [_container(settings, model, bucket, container)],
        "volumes": [
            *([] if bucket else [claim]),
            {"name": _CONFIG, "configMap": {"name": config_map(name)}},
            {"name": _SCRATCH, "emptyDir": {}},
        ],
    }
    if settings.service_account:
        pod["serviceAccountName"] = settings.service_account
    return pod


def _container(settings: ServingSettings, model: str, bucket: str | None, name: str) -> dict[str, Any]:
    wanted = settings.resources
    limits: dict[str, Any] = {"memory": wanted.memory}
    if wanted.gpus:
        limits["nvidia.com/gpu"] = wanted.gpus
    status = f"/v1/models/{model}"
    models = {"name": _MODELS, "mountPath": settings.mount_path, "readOnly": True}
    return {
        "name": name,
        "image": settings.image,
        "command": ["tensorflow_model_server"],
        "args": flags(settings, bucket or settings.mount_path, _FIXED),
        "ports": [
            {"name": "rest", "containerPort": settings.rest_port},
            {"name": "grpc", "containerPort": settings.grpc_port},
        ],
        "resources": {"requests": {"cpu": wanted.cpu, "memory": wanted.memory}, "limits": limits},
        # The status route responds once the first models are loaded.
        "startupProbe": {**_get(status, period=2), "failureThreshold": max(1, settings.start_seconds // 2)},
        "readinessProbe": {**_get(health.route(model), period=5), "failureThreshold": 3},
        # A server that is busy with long texts responds late; killing it would increase the load on the others.
        "livenessProbe": {**_get(status, period=20), "failureThreshold": 6},
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(settings.stop_seconds)]}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            *([] if bucket else [models]),
            {"name": _CONFIG, "mountPath": _FIXED, "readOnly": True},
            {"name": _SCRATCH, "mountPath": "/tmp"},
        ],
    }


def _get(path: str, period: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "rest"}, "periodSeconds": period, "timeoutSeconds": 10}
