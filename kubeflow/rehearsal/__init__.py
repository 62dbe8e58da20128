"""Rehearse a compiled pipeline: run each task as a process on this machine, by the rules of the backend.

Pods, images and volumes are not rehearsed. Imports `components.errors`, `kubeflow.compile` and `kubeflow.task`.
"""

from kubeflow.rehearsal.backends import BACKENDS
from kubeflow.rehearsal.order import run
from kubeflow.rehearsal.task import Outcome

__all__ = ["BACKENDS", "Outcome", "run"]
