"""The two volumes of a cluster, and a shell that prepares them and gives access to them."""

from typing import Any

from components.errors import UserError
from pipeline.config.run import Config
from serving.manifests.objects import Manifest, manifest, object_name, selector
from serving.tf_serving.model_config import FILE_NAME

_SMALL_IMAGE = "busybox:1.37"
_USER = 1000  # of the pipeline's image, see Dockerfile: its runs write to both volumes
_LIST = "/config"  # directory, inside the shell's pod, of the first models.config
_STATE, _MODELS, _CONFIG = "state", "models", "config"  # names of volumes
# A new volume belongs to root. Where root may not change owners (NFS with root_squash), an administrator has done it.
_OWN = 'for directory; do [ "$(stat -c %u "$directory")" = "$OWNER" ] || chown "$OWNER" "$directory"; done'
# `promote` and `rollback` write this file later: what is there stays.
_COPY = '[ -e "$2" ] || cp "$1" "$2"'


def manifests(config: Config, models_config: str, bucket: str | None) -> dict[str, Manifest]:
    """Make the claims and the shell, by file name; nothing if state and models are in buckets.

    Args:
      models_config: text of the servers' first `models.config`.
      bucket: the serving directory, if it is in a bucket, gs://...; None: it is the volume.

    Raises:
      UserError: both volumes have the same claim or path.
    """
    cluster, serving = config.cluster, config.serving
    mounts: dict[str, tuple[str, str]] = {}  # claim and path, by volume
    made: dict[str, Manifest] = {}
    if "://" not in cluster.root:
        made["persistentvolumeclaim-state.yaml"] = _claim(config, cluster.state_claim, cluster.state_size)
        mounts[_STATE] = (cluster.state_claim, cluster.root.rstrip("/"))
    if bucket is None:
        made["persistentvolumeclaim-serving.yaml"] = _claim(config, serving.volume_claim, serving.volume_size)
        mounts[_MODELS] = (serving.volume_claim, serving.mount_path)
        name = object_name(config.model_name, "models")
        made["configmap.yaml"] = manifest(
            "v1", "ConfigMap", name, selector(name, "shell"), data={FILE_NAME: models_config}
        )
    _require_different(mounts)
    if mounts:
        made["statefulset.yaml"] = _shell(config, mounts)
    return made


def _require_different(mounts: dict[str, tuple[str, str]]) -> None:
    """Reject what kustomize (equal names) or Kubernetes (equal paths) would refuse later."""
    values = ["{}, mounted at {}".format(*mount) for mount in mounts.values()]
    if any(len(set(of_all)) < len(mounts) for of_all in zip(*mounts.values(), strict=True)):
        raise UserError(
            "State and served models are two volumes: give cluster.state_claim and serving.volume_claim, and "
            f"cluster.root and serving.mount_path, different values. Received: {'; '.join(values)}"
        )


def _claim(config: Config, name: str, size: str) -> Manifest:
    spec: dict[str, Any] = {
        "accessModes": [config.cluster.access_mode],
        "resources": {"requests": {"storage": size}},
    }
    if config.cluster.storage_class:
        spec["storageClassName"] = config.cluster.storage_class
    # It belongs to all models: with the label of one, deleting that model's objects by label would delete it.
    return manifest("v1", "PersistentVolumeClaim", name, selector(name, "volume"), spec=spec)


def _shell(config: Config, mounts: dict[str, tuple[str, str]]) -> Manifest:
    """A StatefulSet: its pod has a fixed name, and applying a changed file replaces it."""
    name = object_name(config.model_name, "shell")
    image = config.cluster.image or _SMALL_IMAGE
    volume_mounts: list[dict[str, Any]] = [{"name": volume, "mountPath": path} for volume, (_, path) in mounts.items()]
    volumes: list[dict[str, Any]] = [
        {"name": volume, "persistentVolumeClaim": {"claimName": claim}} for volume, (claim, _) in mounts.items()
    ]
    paths = [path for _, path in mounts.values()]
    owner = _container("owner", image, ["sh", "-c", _OWN, "sh", *paths], volume_mounts, runAsUser=0, add=["CHOWN"])
    owner["env"] = [{"name": "OWNER", "value": str(_USER)}]
    prepare = [owner]
    if _MODELS in mounts:
        volumes.append({"name": _CONFIG, "configMap": {"name": object_name(config.model_name, "models")}})
        target = f"{mounts[_MODELS][1]}/{FILE_NAME}"
        copy = ["sh", "-c", _COPY, "sh", f"{_LIST}/{FILE_NAME}", target]
        listed = [*volume_mounts, {"name": _CONFIG, "mountPath": _LIST, "readOnly": True}]
        prepare.append(_container("models-config", image, copy, listed, runAsUser=_USER))
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": 1,  # `tail` as the first process ignores SIGTERM
        "initContainers": prepare,
        "containers": [_container("shell", image, ["tail", "-f", "/dev/null"], volume_mounts, runAsUser=_USER)],
        "volumes": volumes,
    }
    labels = selector(name, "shell")
    spec = {
        "serviceName": name,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return manifest("apps/v1", "StatefulSet", name, labels, spec=spec)


def _container(
    name: str,
    image: str,
    command: list[str],
    mounts: list[dict[str, Any]],
    *,
    add: list[str] | None = None,
    **security: Any,
) -> dict[str, Any]:
    capabilities = {"drop": ["ALL"], **({"add": add} if add else {})}
    return {
        "name": name,
        "image": image,
        "command": command,
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": capabilities, **security},
        "volumeMounts": mounts,
    }
