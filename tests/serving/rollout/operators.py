"""Operators whose commands run in turns, and a server that follows TF Serving's rules.

Each command pauses wherever another process may act, until it is resumed.

A command runs in a thread, of which at most one runs at a time. It pauses before it takes the lock of `models.config`,
while it holds the lock, after it has written the file, before it deletes a directory, when it asks the server, and when
it sleeps. At a pause it can be interrupted, as by Ctrl-C, or killed: then it does nothing anymore.
"""

import fcntl
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from components.models import versions
from serving.client import status
from serving.client.status import StatusUnavailable, VersionStatus
from serving.rollout import labels
from serving.tf_serving.model_config import ServedModel


class Killed(BaseException):
    """Raised at every pause of a killed command, so that its handlers have no effect either."""


class Operator(threading.Thread):
    """One command.

    Attributes:
      at: where it pauses: "start", "lock", "locked", "written", "deletes", "server", or "sleeps".
      seconds: that it sleeps.
      result: what the command returned.
      error: what it raised.
    """

    def __init__(self, command: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._command = command
        self._to_operator, self._to_machine = threading.Semaphore(0), threading.Semaphore(0)
        self._thrown: BaseException | None = None
        self._killed = False
        self.at, self.seconds = "start", 0.0
        self.result: Any = None
        self.error: BaseException | None = None
        self.start()

    @property
    def ended(self) -> bool:
        return self.at == "ended"

    def run(self) -> None:
        self._to_operator.acquire()
        try:
            self.result = self._command()
        except BaseException as error:  # noqa: BLE001 - the machine inspects it
            self.error = error
        self.at = "ended"
        self._to_machine.release()

    def pause(self, where: str, seconds: float = 0.0) -> None:
        if not self._killed:
            self.at, self.seconds = where, seconds
            self._to_machine.release()
            self._to_operator.acquire()
        if self._killed:
            raise Killed
        if self._thrown is not None:
            error, self._thrown = self._thrown, None
            raise error

    def resume(self) -> None:
        """Run it to its next pause."""
        self._to_operator.release()
        self._to_machine.acquire()

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt at its pause, and run it to the next one."""
        self._thrown = KeyboardInterrupt()
        self.resume()

    def kill(self) -> None:
        self._killed = True
        self.resume()


def pause(where: str, seconds: float = 0.0) -> None:
    """Pause the operator that calls this; nobody else."""
    thread = threading.current_thread()
    if isinstance(thread, Operator):
        thread.pause(where, seconds)


def sleep(seconds: float) -> None:
    pause("sleeps", seconds)


def install(patch: pytest.MonkeyPatch, fetch: Callable[[], dict[int, VersionStatus] | None]) -> None:
    """Let commands pause.

    Args:
      fetch: what the server responds.
    """
    flock, replace, delete = fcntl.flock, os.replace, versions.delete

    def take(handle: Any, operation: int) -> None:
        pause("lock")
        while True:
            try:
                flock(handle, operation | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                pause("lock")
        pause("locked")

    def replaced(source: str, target: str) -> None:
        replace(source, target)
        pause("written")

    def deleted(base: str, version: int) -> None:
        pause("deletes")
        delete(base, version)

    def asked(*_: str) -> dict[int, VersionStatus] | None:
        pause("server")
        return fetch()

    patch.setattr(fcntl, "flock", take)
    patch.setattr(os, "replace", replaced)
    patch.setattr(os, "fsync", lambda _: None)  # nothing here survives a power loss anyway
    patch.setattr(versions, "delete", deleted)
    patch.setattr(status, "fetch", asked)


@dataclass
class TFServing:
    """A server that checks labels before policies, and rejects a file whose label moves to a version not loaded."""

    loaded: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    labels: dict[str, int] = field(default_factory=dict)
    busy: bool = False

    def poll(self, entry: ServedModel, on_disk: list[int], broken: set[int]) -> None:
        for label, version in entry.labels.items():
            moved = label in self.labels and self.labels[label] != version
            assert not moved or version in self.loaded, f"rejected: {label} on {version}, loaded are {self.loaded}"
        served = set(labels.allowed(entry.policy, on_disk))
        self.labels, self.loaded, self.failed = dict(entry.labels), served - broken, served & broken

    def states(self) -> dict[int, VersionStatus]:
        if self.busy:
            raise StatusUnavailable("busy")
        failed = {version: VersionStatus(version, "END", error_message="no graph") for version in self.failed}
        return failed | {version: VersionStatus(version, "AVAILABLE") for version in self.loaded}
