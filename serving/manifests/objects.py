"""Form, names and labels of every object in Kubernetes."""

from typing import Any

from components import dns_label

Manifest = dict[str, Any]
_LONGEST_LABEL = 40  # Kubernetes allows 63 characters in all


def object_name(model: str, suffix: str = "serving") -> str:
    """Return the name of a model's objects in Kubernetes, short enough for suffixes, and of its Compose project."""
    return f"{dns_label.of(model, _LONGEST_LABEL)}-{suffix}"


def manifest(version: str, kind: str, name: str, labels: dict[str, str], **content: Any) -> Manifest:
    """Return an object with these labels; `content` is everything but its metadata."""
    metadata = {"name": name, "labels": {**labels, "app.kubernetes.io/part-of": "char-rnn"}}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **content}


def selector(app: str, component: str = "model-server") -> dict[str, str]:
    """Return the labels by which services and controllers find pods."""
    return {"app.kubernetes.io/name": app, "app.kubernetes.io/component": component}
