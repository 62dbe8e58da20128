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
    made = {f"{group}/{name}": manifest for group, objects in groups.items() for name, manifest in objects.items()}
    # All files, because kubectl before 1.21, as in Debian 12, takes no directories.
    kustomizations = {FILE_NAME: _kustomization(list(made), config)}
    for group, objects in groups.items():
        if objects:
            kustomizations[f"{group}/{FILE_NAME}"] = _kustomization(list(objects), config)
    return kustomizations | made


def _set_pull_secrets(objects: dict[str, Manifest], secrets: tuple[str, ...]) -> None:
    """Give all pods the credentials of the registry: a private one often mirrors the public images, too."""
    for manifest in objects.values():
        spec = manifest.get("spec", {})
        pod = spec.get("predictor") or spec.get("template", {}).get("spec")
        if pod and secrets:
            pod["imagePullSecrets"] = [{"name": secret} for secret in secrets]


def _kustomization(resources: list[str], config: Config) -> Manifest:
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": config.cluster.namespace,
        "resources": resources,
    }
