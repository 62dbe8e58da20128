"""TF Serving on Kubernetes: as many servers as the load asks for, all reading one volume or bucket."""

import hashlib
from typing import Any

from pipeline.config.serving import ServingSettings
from serving.tf_serving.flags import METRICS_PATH, files, flags, joins

_FIXED = "/config"  # where the files that do not change are, inside the container
_MODELS, _CONFIG, _SCRATCH = "models", "config", "scratch"  # names of volumes
Manifest = dict[str, Any]


def manifests(settings: ServingSettings, model: str, bucket: str | None = None) -> dict[str, Manifest]:
    """All objects by the names of their files.

    Args:
      settings: how to serve.
      model: name in requests.
      bucket: the serving directory where it is a folder in a bucket, gs://...; None: it is the volume.
    """
    name = object_name(model)
    volume = {} if bucket else {"persistentvolumeclaim.yaml": _claim(settings, name)}
    return {
        **volume,
        "configmap.yaml": _object("v1", "ConfigMap", f"{name}-config", name, data=files(settings)),
        "deployment.yaml": _deployment(settings, model, name, bucket),
        "horizontalpodautoscaler.yaml": _autoscaler(settings, name),
        "poddisruptionbudget.yaml": _object(
            "policy/v1",
            "PodDisruptionBudget",
            name,
            name,
            # Not a minimum that must stay: with one replica no node could ever be drained.
            spec={"maxUnavailable": 1, "selector": {"matchLabels": _selector(name)}},
        ),
        "service.yaml": _service(settings, name),
    }


def object_name(model: str) -> str:
    """A model's name as Kubernetes allows it: lower case, with hyphens, not too long for what is appended."""
    return f"{model.lower().replace('_', '-')[:40].strip('-')}-serving"


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
        # A server reads these files once: when they change, the servers are replaced.
        "char-rnn/config-digest": hashlib.sha256(repr(files(settings)).encode()).hexdigest()[:16],
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
        # TF Serving ends at once on SIGTERM: the pause of preStop lets requests under way finish before.
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
        # No number of replicas: that is the autoscaler's, and applying the file again would set it back.
        "selector": {"matchLabels": _selector(name)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {"metadata": {"labels": _selector(name), "annotations": annotations}, "spec": pod},
    }
    return _object("apps/v1", "Deployment", name, name, spec=spec)


def _container(settings: ServingSettings, model: str, bucket: str | None) -> dict[str, Any]:
    given = settings.resources
    limits: dict[str, Any] = {"memory": given.memory}
    if given.gpus:
        limits["nvidia.com/gpu"] = given.gpus
    status = f"/v1/models/{model}"
    models = {"name": _MODELS, "mountPath": settings.mount_path, "readOnly": True}
    return {
        "name": "model-server",
        "image": settings.image,
        "command": ["tensorflow_model_server"],
        "args": flags(
            settings, bucket or settings.mount_path, batching=joins(settings.batching, checks_rows=False), fixed=_FIXED
        ),
        "ports": [
            {"name": "rest", "containerPort": settings.rest_port},
            {"name": "grpc", "containerPort": settings.grpc_port},
        ],
        "resources": {"requests": {"cpu": given.cpu, "memory": given.memory}, "limits": limits},
        # The status route answers when the models of the start are loaded.
        "startupProbe": {**_get(status, period=2), "failureThreshold": max(1, settings.start_seconds // 2)},
        # The status of a model none of whose versions could be loaded is an answer, too; its metadata is not.
        "readinessProbe": {**_get(f"{status}/metadata", period=5), "failureThreshold": 3},
        # Patient: a server that is busy with long texts answers late, and killing it would make everything worse.
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
    given = settings.resources
    target = {"type": "Utilization", "averageUtilization": given.target_cpu_percent}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": given.min_replicas,
        "maxReplicas": max(given.min_replicas, given.max_replicas),
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
    return _object("autoscaling/v2", "HorizontalPodAutoscaler", name, name, spec=spec)


def _claim(settings: ServingSettings, name: str) -> Manifest:
    spec = {
        # The pipeline writes while servers on other nodes read.
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": settings.volume_size}},
    }
    return _object("v1", "PersistentVolumeClaim", settings.volume_claim, name, spec=spec)
