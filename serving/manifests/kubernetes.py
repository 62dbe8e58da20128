"""TF Serving on Kubernetes: an autoscaled set of servers that read one volume or bucket."""

from pipeline.config.serving import ServingSettings
from serving.manifests import kserve, server_pod
from serving.manifests.objects import Manifest, manifest, object_name, selector
from serving.tf_serving.flags import flag_files


def manifests(settings: ServingSettings, model: str, bucket: str | None = None) -> dict[str, Manifest]:
    """Make all objects of the servers, by file name.

    Args:
      bucket: the serving directory, if it is in a bucket, gs://...; None: it is the volume.
    """
    name = object_name(model)
    config = manifest("v1", "ConfigMap", server_pod.config_map(name), selector(name), data=flag_files(settings))
    # Not minAvailable: with one replica, no node could be drained.
    budget = {"maxUnavailable": 1, "selector": {"matchLabels": selector(name)}}
    shared = {
        "configmap.yaml": config,
        "poddisruptionbudget.yaml": manifest("policy/v1", "PodDisruptionBudget", name, selector(name), spec=budget),
    }
    if settings.platform == "kserve":
        return shared | {"inferenceservice.yaml": kserve.inference_service(settings, model, name, bucket)}
    return shared | {
        "deployment.yaml": _deployment(settings, model, name, bucket),
        "horizontalpodautoscaler.yaml": _autoscaler(settings, name),
        "service.yaml": _service(settings, name),
    }


def _deployment(settings: ServingSettings, model: str, name: str, bucket: str | None) -> Manifest:
    metadata = {"labels": selector(name), "annotations": server_pod.annotations(settings)}
    spec = {
        # No replicas: the autoscaler sets them, and applying the file again would reset them.
        "selector": {"matchLabels": selector(name)},
        "strategy": server_pod.ROLLING,
        "template": {
            "metadata": metadata,
            "spec": server_pod.spec(settings, model, name, bucket, container="model-server"),
        },
    }
    return manifest("apps/v1", "Deployment", name, selector(name), spec=spec)


def _service(settings: ServingSettings, name: str) -> Manifest:
    ports = [
        {"name": "rest", "port": settings.rest_port, "targetPort": "rest"},
        {"name": "grpc", "port": settings.grpc_port, "targetPort": "grpc"},
    ]
    return manifest("v1", "Service", name, selector(name), spec={"selector": selector(name), "ports": ports})


def _autoscaler(settings: ServingSettings, name: str) -> Manifest:
    resources = settings.resources
    target = {"type": "Utilization", "averageUtilization": resources.target_cpu_percent}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": resources.min_replicas,
        "maxReplicas": max(resources.min_replicas, resources.max_replicas),
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
    return manifest("autoscaling/v2", "HorizontalPodAutoscaler", name, selector(name), spec=spec)
