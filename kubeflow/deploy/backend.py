"""Runs and schedules of a pipeline. Every command is idempotent: repeat an interrupted one to complete it."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from components.errors import UserError


@dataclass(frozen=True)
class Package:
    """A compiled pipeline and how to run it. Example: tests/kubeflow/deploy/test_kubeflow_pipelines.py.

    Attributes:
      name: name of the pipeline and of its schedule, first part of its versions' names.
      file: path of the compiled YAML.
      parameters: run parameters that differ from the compiled defaults.
    """

    name: str
    file: str
    parameters: dict[str, str] = field(default_factory=dict)
    pipeline_root: str | None = None
    service_account: str | None = None

    @property
    def version(self) -> str:
        """Name of the version; equal content has an equal name."""
        with open(self.file, "rb") as file:
            return f"{self.name}-{hashlib.sha256(file.read()).hexdigest()[:16]}"


class Backend(ABC):
    """A service that runs and schedules pipelines; the test module of each subclass shows its use.

    Subclasses define the underscored methods. A schedule is an object of their client library.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report

    def submit(self, package: Package) -> None:
        """Start one run."""
        self._report(f"run {self._start_run(package)} of {package.version} started")

    def deploy(self, package: Package, cron: str) -> None:
        """Upload the pipeline and schedule it. An equal schedule and its pause are kept; any other is replaced.

        The new schedule is created before the previous one is deleted. An interruption leaves one schedule too many,
        never none, and the next deployment deletes it.
        """
        wanted = self._prepare(package, cron)
        existing = self._schedules(package.name)
        paused = bool(existing) and not any(map(self._is_active, existing))
        equal = [schedule for schedule in existing if self._is_equal(schedule, wanted)]
        # An interruption may have left several equal schedules. Keep an active one, or the deployment would pause it.
        kept = next(filter(self._is_active, equal), equal[0] if equal else None)
        if kept is None:
            self._create(wanted, paused)
            self._report(f"schedule {cron!r} created{' (paused, like the previous one)' if paused else ''}")
        else:
            if not paused and not self._is_active(kept):
                self._set_active(kept, True)
            self._report(f"schedule {cron!r} exists already{' (paused)' if paused else ''}")
        for schedule in existing:
            if schedule is not kept:
                self._delete(schedule)
                self._report(f"previous schedule {self._label(schedule)} deleted")

    def pause(self, name: str, resume: bool = False) -> None:
        """Pause or resume the schedule of a pipeline. Missed runs are skipped."""
        schedules = self._schedules(name)
        if not schedules:
            raise UserError(
                "This pipeline has no schedule: deploy it first, or give the options of its deployment: --model, and "
                f"--set cluster.experiment=... (kfp) or --project and --region (vertex). Received: {name}"
            )
        for schedule in schedules:
            if self._is_active(schedule) == resume:
                self._report(f"schedule {self._label(schedule)} is {'active' if resume else 'paused'} already")
            else:
                self._set_active(schedule, resume)
                self._report(f"schedule {self._label(schedule)} {'resumed' if resume else 'paused'}")

    def delete(self, name: str, everything: bool = False) -> None:
        """Delete the schedules, and with `everything` the uploaded pipeline; runs and models remain."""
        schedules = self._schedules(name)
        for schedule in schedules:
            self._delete(schedule)
            self._report(f"schedule {self._label(schedule)} deleted")
        if not schedules:
            self._report(f"{name} has no schedule")
        if everything and self._delete_pipeline(name):
            self._report(f"pipeline {name} deleted")

    @abstractmethod
    def status(self, name: str) -> None:
        """Print the schedules and the last runs."""

    @abstractmethod
    def _start_run(self, package: Package) -> str:
        """Start a run and return its id."""

    @abstractmethod
    def _prepare(self, package: Package, cron: str) -> Any:
        """Upload the pipeline if needed; return the argument for `_create`."""

    @abstractmethod
    def _schedules(self, name: str) -> list[Any]:
        """Return all schedules of a pipeline."""

    @abstractmethod
    def _is_active(self, schedule: Any) -> bool: ...

    @abstractmethod
    def _is_equal(self, schedule: Any, wanted: Any) -> bool: ...

    @abstractmethod
    def _label(self, schedule: Any) -> str: ...

    @abstractmethod
    def _create(self, wanted: Any, paused: bool) -> None: ...

    @abstractmethod
    def _set_active(self, schedule: Any, active: bool) -> None: ...

    @abstractmethod
    def _delete(self, schedule: Any) -> None: ...

    def _delete_pipeline(self, name: str) -> bool:  # noqa: ARG002 - subclasses use it
        """Delete the uploaded pipeline; return whether there was one."""
        return False
