"""Directories for `kubectl apply -k`: what the pipeline's runs need, the servers, and both together."""

from pipeline.config.run import Config
from serving.manifests import kubernetes, volumes
from serving.manifests.objects import Manifest

FILE_NAME = "kustomization.yaml"


def manifests(config: Config, models_config: str, bucket: str | None = None) -> dict[str, Manifest]:
    """Make all objects and the kustomizations, by path.

    Args:
      models_config: text of the servers' first `models.config`.
      bucket: the serving directory, if it is in a bucket, gs://...; None: it is the volume.
    """
    groups = {
        "pipeline": volumes.manifests(config, models_config, bucket),
        "servers": kubernetes.manifests(config.serving, config.model_name, bucket),
    }
    for objects in groups.values():
        _set_pull_secrets(objects, config.cluster.image_pull_secrets)
    made = {FILE_NAME: _kustomization([group for group, objects in groups.items() if objects])}
    for group, objects in groups.items():
        if objects:
            made[f"{group}/{FILE_NAME}"] = _kustomization(list(objects), namespace=config.cluster.namespace)
            made |= {f"{group}/{name}": manifest for name, manifest in objects.items()}
    return made


def _set_pull_secrets(objects: dict[str, Manifest], secrets: tuple[str, ...]) -> None:
    """Give all pods the credentials of the registry: a private one often mirrors the public images, too."""
    for manifest in objects.values():
        spec = manifest.get("spec", {})
        pod = spec.get("predictor") or spec.get("template", {}).get("spec")
        if pod and secrets:
            pod["imagePullSecrets"] = [{"name": secret} for secret in secrets]


def _kustomization(resources: list[str], **content: str) -> Manifest:
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    return {**head, **content, "resources": resources}
