"""TF Serving with Docker Compose, on one machine."""

from typing import Any

from pipeline.config.serving import ServingSettings
from serving.manifests import health
from serving.manifests.objects import object_name
from serving.tf_serving.flags import BATCHING_FILE, MONITORING_FILE, flags

FIXED = "/config"  # directory, inside the container, of the files that do not change
_UNITS = {"Mi": "m", "Gi": "g"}  # of Kubernetes and of Docker


def compose(settings: ServingSettings, model: str, directory: str) -> dict[str, Any]:
    """Make the Compose file.

    Args:
      directory: the serving directory, an absolute path. The container mounts it under the same path, so that
        `models.config` is right inside and outside.
    """
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    memory = settings.resources.memory
    resources: dict[str, Any] = {"limits": {"memory": memory[:-2] + _UNITS[memory[-2:]]}}
    if settings.resources.gpus:
        gpus = {"driver": "nvidia", "count": settings.resources.gpus, "capabilities": ["gpu"]}
        resources["reservations"] = {"devices": [gpus]}
    service = {
        "image": settings.image,
        "entrypoint": ["tensorflow_model_server"],
        "command": flags(settings, directory, FIXED),
        "user": f"{settings.user_id}:{settings.user_id}",
        "ports": [f"{host}:{port}:{port}" for port in (settings.rest_port, settings.grpc_port)],
        "volumes": [
            _bind(directory, directory),
            *(_bind(f"./{name}", f"{FIXED}/{name}") for name in (BATCHING_FILE, MONITORING_FILE)),
        ],
        "init": True,  # the first process of a container ignores SIGTERM by default
        "restart": "unless-stopped",
        "stop_grace_period": f"{settings.stop_seconds}s",
        "read_only": True,
        "tmpfs": ["/tmp"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "deploy": {"resources": resources},
        "healthcheck": {
            "test": ["CMD", "bash", "-c", health.bash(settings.rest_port, model)],
            "interval": "10s",
            "timeout": "10s",
            "retries": 6,
            "start_period": f"{settings.start_seconds}s",
        },
    }
    return {"name": object_name(model), "services": {"model-server": _escape(service)}}


def _escape(content: Any) -> Any:
    """Escape dollar signs, which Compose would replace by variables."""
    if isinstance(content, dict):
        return {key: _escape(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_escape(value) for value in content]
    return content.replace("$", "$$") if isinstance(content, str) else content


def _bind(source: str, target: str) -> dict[str, Any]:
    # A missing source is an error; Docker would create it as root.
    return {
        "type": "bind",
        "source": source,
        "target": target,
        "read_only": True,
        "bind": {"create_host_path": False},
    }
