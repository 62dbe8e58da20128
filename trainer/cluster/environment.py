"""The processes that train together, as `TF_CONFIG` names them. Does not import TensorFlow."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.errors import UserError

VARIABLE = "TF_CONFIG"
# Exit code of a container whose process lost the others. The training operator starts pods again that end with a code
# of 128 or more, under `restartPolicy: ExitCode`, and leaves this one (128 + SIGUSR1) to programs.
START_AGAIN = 138
_REFUSED = {
    "evaluator": "the pipeline has its own Evaluator, which runs after training",
    "ps": "training is synchronous and has no parameter servers",
}


class ProcessLost(UserError):
    """Another process of the training ended or cannot be reached; all must be started again."""


@dataclass(frozen=True)
class Cluster:
    """The processes of one training, and which of them this one is.

    Attributes:
      role: "chief" or "worker".
      index: of this process among those of its role.
      addresses: host:port of every process, in the order of their replicas: the chief's first.
      has_chief: whether there is a process with the role "chief".
    """

    role: str = "chief"
    index: int = 0
    addresses: tuple[str, ...] = ()
    has_chief: bool = True

    @property
    def processes(self) -> int:
        """Number of processes that train together; 1 if this one trains alone."""
        return max(1, len(self.addresses))

    @property
    def position(self) -> int:
        """Index of this process in `addresses`."""
        return self.index + (1 if self.has_chief and self.role == "worker" else 0)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes checkpoints, logs and the export: the chief, without one the first worker."""
        return self.position == 0


def from_environment(environment: Mapping[str, str] = os.environ) -> Cluster:
    """Parse `TF_CONFIG`, which the Kubeflow training operator and Vertex AI set.

    A variable that is unset, or that names at most one process, stands for training alone. Keys other than "cluster"
    and "task" are ignored: Vertex AI sets some.

    >>> workers = '"cluster": {"chief": ["a:1"], "worker": ["b:1", "c:1"]}'
    >>> cluster = from_environment({"TF_CONFIG": '{%s, "task": {"type": "worker", "index": 1}}' % workers})
    >>> cluster.processes, cluster.position, cluster.is_chief
    (3, 2, False)

    Raises:
      UserError: it is not what TensorFlow documents, or names processes that do not train.
    """
    text = environment.get(VARIABLE) or "{}"
    try:
        config = json.loads(text)
    except ValueError as error:
        raise _invalid(f"it is not JSON ({error})", text) from None
    if not isinstance(config, dict):
        raise _invalid("it is not a JSON object", text)
    jobs, task = config.get("cluster") or {}, config.get("task") or {}
    if not isinstance(jobs, dict) or not isinstance(task, dict):
        raise _invalid('"cluster" and "task" must be JSON objects', text)
    jobs = {name: addresses for name, addresses in jobs.items() if addresses}
    _check_roles([*jobs, task.get("type") or "chief"], text)
    for name, addresses in jobs.items():
        if not isinstance(addresses, list) or not all(isinstance(address, str) for address in addresses):
            raise _invalid(f'"{name}" must be a list of addresses, each "host:port"', text)
    chiefs, workers = jobs.get("chief", []), jobs.get("worker", [])
    if len(chiefs) > 1:
        raise _invalid("it has more than one chief", text)
    addresses = (*chiefs, *workers)
    if len(set(addresses)) < len(addresses):
        raise _invalid("it has an address twice", text)
    if len(addresses) <= 1:
        return Cluster(addresses=addresses)
    role, index = _task(task, jobs, text)
    return Cluster(role, index, addresses, bool(chiefs))


def _check_roles(roles: list[Any], text: str) -> None:
    for role in roles:
        if isinstance(role, str) and role in _REFUSED:
            raise UserError(
                f"TF_CONFIG has the role {role!r}, but {_REFUSED[role]}. Remove the replicas of that type from the "
                f"job. Received: {_shortened(text)}"
            )
        if role not in ("chief", "worker"):
            raise _invalid(f"the role {role!r} is unknown: a process is a chief or a worker", text)


def _task(task: dict[str, Any], jobs: dict[str, list[str]], text: str) -> tuple[str, int]:
    role = task.get("type")
    try:
        index = int(task.get("index", ""))
    except (TypeError, ValueError):
        index = -1
    if not role or index < 0:
        raise _invalid('"task" must have "type" (chief or worker) and "index" (from 0)', text)
    if index >= len(jobs.get(role, [])):
        raise _invalid(f'"cluster" has no {role} with index {index}', text)
    return role, index


def _invalid(problem: str, text: str) -> UserError:
    return UserError(
        f"TF_CONFIG cannot be used: {problem}. For a chief and a worker it is "
        '{"cluster": {"chief": ["host:port"], "worker": ["host:port"]}, "task": {"type": "worker", "index": 0}}, with '
        "the task of the process itself; unset it to train with one process. "
        f"Received: {VARIABLE}={_shortened(text)}"
    )


def _shortened(text: str) -> str:
    return text if len(text) <= 500 else f"{text[:500]}..."
