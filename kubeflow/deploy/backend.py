"""Runs and schedules of a pipeline. Every command is idempotent: repeat an interrupted one to complete it."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
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
        self._dry_run = False

    def submit(self, package: Package) -> None:
        """Start one run."""
        self._report(f"run {self._start_run(package)} of {package.version} started")

    def deploy(self, package: Package, cron: str, dry_run: bool = False) -> None:
        """Upload the pipeline and schedule it. An equal schedule and its pause are kept; any other is replaced.

        Servers cannot create a schedule on the condition that there is no other, and several deployments may run at
        the same time. So each numbers its schedule one above all that it found, lists again after the creation, and
        deletes all but the highest: whatever the order of their requests, the highest is never deleted, and the
        deployment that lists last sees all of them. An interruption leaves one schedule too many, never none, and the
        next deployment deletes it.

        Args:
          dry_run: only read, and report what would be written.
        """
        self._dry_run = dry_run
        wanted = self._prepare(package, cron)
        schedules = self._ranked(self._schedules(package.name))
        # The oldest counts: an interruption may have come before the pause of a newer one.
        paused = bool(schedules) and not self._is_active(schedules[0])
        if schedules and self._is_equal(schedules[-1], wanted):
            self._report(f"schedule {cron!r} exists already{' (paused)' if paused else ''}")
            self._correct_pause(schedules[-1], paused)
        else:
            number = self._number(schedules[-1]) + 1 if schedules else 1
            done = f"created{' (paused, like the previous one)' if paused else ''}"
            created = self._change(f"schedule {cron!r}", done, lambda: self._create(wanted, paused, number))
            if created is None:  # a dry run
                schedules.append(None)
            else:
                schedules = self._after(package.name, created, paused)
        for schedule in schedules[:-1]:
            self._change(f"previous schedule {self._label(schedule)}", "deleted", partial(self._delete, schedule))
        if dry_run:
            root, account = package.pipeline_root or "the default", package.service_account or "the default"
            self._report(f"its runs have the parameters {package.parameters}, pipeline root {root}, account {account}")

    def _after(self, name: str, created: Any, paused: bool) -> list[Any]:
        """Return all schedules after the creation of one, also those of deployments at the same time."""
        found = {self._id(schedule): schedule for schedule in (created, *self._schedules(name))}
        schedules = self._ranked(found.values())
        if self._id(schedules[-1]) != self._id(created):
            self._report(f"schedule {self._label(schedules[-1])} of a deployment at the same time replaces it")
        else:  # a previous one may have been paused or resumed meanwhile
            self._correct_pause(schedules[-1], not self._is_active(schedules[0]) if schedules[1:] else paused)
        return schedules

    def _correct_pause(self, schedule: Any, paused: bool) -> None:
        if self._is_active(schedule) == paused:
            done = "paused" if paused else "resumed"
            self._change(f"schedule {self._label(schedule)}", done, lambda: self._set_active(schedule, not paused))

    def _ranked(self, schedules: Iterable[Any]) -> list[Any]:
        """Return schedules in an order that is the same for all deployments and never changes; the last one stays."""
        return sorted(schedules, key=lambda schedule: (self._number(schedule), self._id(schedule)))

    def _change(self, what: str, done: str, write: Callable[[], Any]) -> Any:
        """Write and report it, or in a dry run only report it and return None."""
        if self._dry_run:
            self._report(f"{what} would be {done}")
            return None
        written = write()
        self._report(f"{what} {done}")
        return written

    def pause(self, name: str, resume: bool = False) -> None:
        """Pause or resume the schedule of a pipeline. Missed runs are skipped."""
        schedules = self._schedules(name)
        if not schedules:
            raise UserError(
                "This pipeline has no schedule: deploy it first, or give the options of its deployment: --model, and "
                f"--set cluster.experiment=... (kfp) or --project and --region (vertex). Received: {name}"
            )
        done: set[str] = set()
        while remaining := [schedule for schedule in schedules if self._id(schedule) not in done]:
            for schedule in remaining:
                done.add(self._id(schedule))
                if self._is_active(schedule) == resume:
                    self._report(f"schedule {self._label(schedule)} is {'active' if resume else 'paused'} already")
                else:
                    self._set_active(schedule, resume)
                    self._report(f"schedule {self._label(schedule)} {'resumed' if resume else 'paused'}")
            schedules = self._schedules(name)  # a deployment at the same time may have replaced it

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
        """Upload the pipeline if needed, with `_change`; return the argument for `_create`."""

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
    def _id(self, schedule: Any) -> str: ...

    @abstractmethod
    def _number(self, schedule: Any) -> int:
        """Return the number that `_create` stored, 0 if there is none."""

    @abstractmethod
    def _create(self, wanted: Any, paused: bool, number: int) -> Any:
        """Create and return a schedule, and store its number."""

    @abstractmethod
    def _set_active(self, schedule: Any, active: bool) -> None:
        """Resume or pause a schedule, unless another client has deleted it meanwhile."""

    @abstractmethod
    def _delete(self, schedule: Any) -> None:
        """Delete a schedule, unless another client has done so meanwhile."""

    def _delete_pipeline(self, name: str) -> bool:  # noqa: ARG002 - subclasses use it
        """Delete the uploaded pipeline; return whether there was one."""
        return False
