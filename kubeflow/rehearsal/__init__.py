"""Rehearse a compiled pipeline: run its tasks on this machine, by the rules of the backend.

Every task is a separate process with the command of the compiled file, in a temporary directory. A rehearsal does not
cover the work of a cluster: scheduling pods, pulling images and mounting volumes.

Imports `kubeflow.compile` and `kubeflow.task`.
"""

from kubeflow.rehearsal.backends import BACKENDS
from kubeflow.rehearsal.order import run
from kubeflow.rehearsal.task import Outcome

__all__ = ["BACKENDS", "Outcome", "run"]
