"""TF Serving on Kubernetes: an autoscaled set of servers that read one volume or bucket."""

import hashlib
from typing import Any

from components import dns_label
from pipeline.config.serving import ServingSettings
from serving.manifests import health
from serving.tf_serving.flags import METRICS_PATH, flag_files, flags

_LONGEST_LABEL = 40  # Kubernetes allows 63 characters in all
_FIXED = "/config"  # directory, inside the container, of the files that do not change
_MODELS, _CONFIG, _SCRATCH = "models", "config", "scratch"  # names of volumes
Manifest = dict[str, Any]


def manifests(settings: ServingSettings, model: str, bucket: str | None = None) -> dict[str, Manifest]:
    """Make all objects, by file name.

    Args:
      bucket: the serving directory, if it is in a bucket, gs://...; None: it is the volume.
    """
    name = object_name(model)
    volume = {} if bucket else {"persistentvolumeclaim.yaml": _claim(settings)}
    return {
        **volume,
        "configmap.yaml": _object("v1", "ConfigMap", f"{name}-config", name, data=flag_files(settings)),
        "deployment.yaml": _deployment(settings, model, name, bucket),
        "horizontalpodautoscaler.yaml": _autoscaler(settings, name),
        "poddisruptionbudget.yaml": _object(
            "policy/v1",
            "PodDisruptionBudget",
            name,
            name,
            # Not minAvailable: with one replica, no node could be drained.
            spec={"maxUnavailable": 1, "selector": {"matchLabels": _selector(name)}},
        ),
        "service.yaml": _service(settings, name),
    }


def object_name(model: str) -> str:
    """Return the name of a model's objects in Kubernetes, short enough for suffixes, and of its Compose project."""
    return f"{dns_label.of(model, _LONGEST_LABEL)}-serving"


def _object(version: str, kind: str, name: str, app: str, **content: Any) -> Manifest:
    metadata = {"name": name, "labels": {**_selector(app), "app.kubernetes.io/part-of": "char-rnn"}}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **content}


def _selector(app: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": app, "app.kubernetes.io/component": "model-server"}


def _deployment(settings: ServingSettings, model: str, name: str, bucket: str | None) -> Manifest:
    annotations = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(settings.rest_port),
        "prometheus.io/path": METRICS_PATH,
        # Servers read these files at the start only: a change of the digest replaces the pods.
        "char-rnn/config-digest": hashlib.sha256(repr(flag_files(settings)).encode()).hexdigest()[:16],
    }
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
                "labelSelector": {"matchLabels": _selector(name)},
            }
        ],
        "containers": [_container(settings, model, bucket)],
        "volumes": [
            *([] if bucket else [claim]),
            {"name": _CONFIG, "configMap": {"name": f"{name}-config"}},
            {"name": _SCRATCH, "emptyDir": {}},
        ],
    }
    if settings.service_account:
        pod["serviceAccountName"] = settings.service_account
    spec = {
        # No replicas: the autoscaler sets them, and applying the file again would reset them.
        "selector": {"matchLabels": _selector(name)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {"metadata": {"labels": _selector(name), "annotations": annotations}, "spec": pod},
    }
    return _object("apps/v1", "Deployment", name, name, spec=spec)


def _container(settings: ServingSettings, model: str, bucket: str | None) -> dict[str, Any]:
    wanted = settings.resources
    limits: dict[str, Any] = {"memory": wanted.memory}
    if wanted.gpus:
        limits["nvidia.com/gpu"] = wanted.gpus
    status = f"/v1/models/{model}"
    models = {"name": _MODELS, "mountPath": settings.mount_path, "readOnly": True}
    return {
        "name": "model-server",
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


def _service(settings: ServingSettings, name: str) -> Manifest:
    ports = [
        {"name": "rest", "port": settings.rest_port, "targetPort": "rest"},
        {"name": "grpc", "port": settings.grpc_port, "targetPort": "grpc"},
    ]
    return _object("v1", "Service", name, name, spec={"selector": _selector(name), "ports": ports})


def _autoscaler(settings: ServingSettings, name: str) -> Manifest:
    resources = settings.resources
    target = {"type": "Utilization", "averageUtilization": resources.target_cpu_percent}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": resources.min_replicas,
        "maxReplicas": max(resources.min_replicas, resources.max_replicas),
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
    return _object("autoscaling/v2", "HorizontalPodAutoscaler", name, name, spec=spec)


def _claim(settings: ServingSettings) -> Manifest:
    spec = {
        # The pipeline writes while servers on other nodes read.
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": settings.volume_size}},
    }
    # It belongs to all models: with the label of one, deleting that model's objects by label would delete it.
    return _object("v1", "PersistentVolumeClaim", settings.volume_claim, settings.volume_claim, spec=spec)
