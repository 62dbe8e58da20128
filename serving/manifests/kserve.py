"""The servers as a KServe InferenceService, in KServe's mode `Standard`, which needs no Knative.

KServe's own TensorFlow runtime is not used: it serves one directory by `--model_base_path`, without labels, batching
and metrics, under the name of the InferenceService, and copies a bucket once when a pod starts, so that later versions
are not seen. The container here is the one of the Deployment; KServe makes Deployment, Service, autoscaler
and a route from outside.
"""

from pipeline.config.serving import ServingSettings
from serving.manifests import server_pod
from serving.manifests.objects import Manifest, manifest, selector

CONTAINER = "kserve-container"  # required by KServe


def inference_service(settings: ServingSettings, model: str, name: str, bucket: str | None) -> Manifest:
    """Make the object.

    Args:
      name: of the model's objects.
      bucket: the serving directory, if it is in a bucket, gs://...; None: it is the volume.
    """
    resources = settings.resources
    pod = server_pod.spec(settings, model, name, bucket, CONTAINER)
    # KServe sets its own limit of one core otherwise, below which a request must stay.
    pod["containers"][0]["resources"]["limits"]["cpu"] = resources.cpu
    predictor = {
        "minReplicas": resources.min_replicas,
        "maxReplicas": max(resources.min_replicas, resources.max_replicas),
        "scaleMetric": "cpu",
        "scaleTarget": resources.target_cpu_percent,
        "timeout": settings.request_timeout_seconds,
        "labels": selector(name),
        "annotations": server_pod.annotations(settings),
        "deploymentStrategy": server_pod.ROLLING,
        **pod,
    }
    spec = {"predictor": predictor}
    made = manifest("serving.kserve.io/v1beta1", "InferenceService", name, selector(name), spec=spec)
    made["metadata"]["annotations"] = {"serving.kserve.io/deploymentMode": "Standard"}
    return made
