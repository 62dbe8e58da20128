"""The versions of one model: which are loaded, in the order in which TF Serving loads and unloads them.

A new version is available before an old one goes, and an old one stays while the new one cannot be loaded.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from components.models.version_number import is_version_number
from serving.embedded.models.batching import Answering
from serving.embedded.statuses import Refusal, invalid
from serving.rollout import labels
from serving.tf_serving.model_config import ServedModel

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 60.0  # for a version that could not be loaded; at once if its files change

Load = Callable[[str, str], Answering]  # model name, directory


@dataclass
class Version:
    """A version's life; `state` is a name of TF Serving's `ModelVersionStatus.State`."""

    number: int
    state: str = "START"
    error_code: str = "OK"
    error_message: str = ""
    answering: Answering | None = None
    users: int = 0
    tried: float = 0.0  # monotonic time of the last failure
    seen: tuple[object, ...] = ()  # the files when it was last loaded, or could not be


class Served:
    """One model of the configuration. `reconcile` is called by one thread, everything else by any."""

    def __init__(self, config: ServedModel, load: Load) -> None:
        """Nothing is loaded yet."""
        self.config = config
        self._load = load
        self._versions: dict[int, Version] = {}
        self._lock = threading.Lock()
        self._complaint = ""

    def versions(self) -> list[Version]:
        """All versions seen so far, newest first."""
        with self._lock:
            return [self._versions[number] for number in sorted(self._versions, reverse=True)]

    def available(self) -> bool:
        """Whether some version answers."""
        return any(version.state == "AVAILABLE" for version in self.versions())

    @contextmanager
    def use(self, number: int | None = None, label: str | None = None) -> Iterator[tuple[int, Answering]]:
        """A version that stays loaded within; the newest available one unless number or label say which.

        Raises:
          Refusal: there is none such.
        """
        if label is not None:
            number = self.config.labels.get(label)
            if number is None:
                raise unknown_label(label)
        with self._lock:
            available = [one for one in self._versions.values() if one.state == "AVAILABLE"]
            wanted = [one for one in available if number in (None, one.number)]
            if not wanted:
                raise not_found(self.config.name, number)
            version = max(wanted, key=lambda one: one.number)
            version.users += 1
            assert version.answering is not None
        try:
            yield version.number, version.answering
        finally:
            with self._lock:
                version.users -= 1

    def reconcile(self) -> None:
        """Look at the directory and the configuration, load what is missing, and then unload what is not wanted."""
        directories = self._directories()
        if directories is None:
            return
        wanted = set(labels.allowed(self.config.policy, sorted(directories)))
        for number in sorted(wanted, reverse=True):
            self._bring_up(number, directories[number])
        with self._lock:
            available = {number for number, one in self._versions.items() if one.state == "AVAILABLE"}
        if not wanted or available & wanted:
            for number in available - wanted:
                self._take_down(self._versions[number])

    def close(self) -> None:
        """Unload everything; answers only after requests are finished."""
        for version in self.versions():
            if version.state == "AVAILABLE":
                self._drain(version)

    def _directories(self) -> dict[int, str] | None:
        try:
            names = os.listdir(self.config.base_path)
        except OSError as error:
            self._complain(f"Cannot look for versions of {self.config.name}: {error}")
            return None
        return {int(name): os.path.join(self.config.base_path, name) for name in names if is_version_number(name)}

    def _bring_up(self, number: int, directory: str) -> None:
        with self._lock:
            version = self._versions.get(number)
            if version is None or (version.state == "END" and version.error_code == "OK"):
                version = self._versions[number] = Version(number)
        if version.state == "AVAILABLE":
            self._complete(version, directory)
        if version.state in ("LOADING", "AVAILABLE", "UNLOADING"):
            return
        files = _files(directory)
        if version.state == "END" and files == version.seen and time.monotonic() - version.tried < _RETRY_SECONDS:
            return
        version.state, version.seen = "LOADING", files
        started = time.monotonic()
        try:
            answering = self._load(self.config.name, directory)
        except Exception as error:
            refusal = error if isinstance(error, Refusal) else Refusal("INTERNAL", f"{type(error).__name__}: {error}")
            self._complain(f"Version {number} of {self.config.name} cannot be loaded: {refusal.message}")
            version.tried = time.monotonic()
            version.error_code, version.error_message = refusal.code, refusal.message
            version.state = "END"
            return
        with self._lock:
            version.answering, version.error_code, version.error_message = answering, "OK", ""
            version.state = "AVAILABLE"
        took = time.monotonic() - started
        _log.info("Version %d of %s is available after %.2f s", number, self.config.name, took)

    def _complete(self, version: Version, directory: str) -> None:
        """Load a version again whose files were not all there yet, so that it could not be batched.

        The graph's own files were, so it answers well but slowly, and would do so until the server ends.
        """
        if version.answering is None or version.answering.batched:
            return
        files = _files(directory)
        if files == version.seen:
            return
        version.seen = files
        try:
            answering = self._load(self.config.name, directory)
        except Exception as error:
            self._complain(f"Version {version.number} of {self.config.name} stays as it was loaded: {error}")
            return
        with self._lock:
            self._versions[version.number] = Version(version.number, "AVAILABLE", answering=answering, seen=files)
        self._take_down(version)
        _log.info("Version %d of %s is loaded again, for its files have changed", version.number, self.config.name)

    def _complain(self, complaint: str) -> None:
        """Log it once and not at every look."""
        if complaint != self._complaint:
            self._complaint = complaint
            _log.error("%s", complaint)

    def _take_down(self, version: Version) -> None:
        with self._lock:
            version.state = "UNLOADING"
        # Requests under way may take long, and the next version shall not wait for them.
        threading.Thread(target=self._drain, args=(version,), name=f"unload-{version.number}").start()

    def _drain(self, version: Version) -> None:
        with self._lock:
            version.state = "UNLOADING"
        while version.users:
            time.sleep(0.05)
        if version.answering is not None:
            version.answering.close()
        with self._lock:
            version.answering = None
            version.state = "END"
        _log.info("Version %d of %s is unloaded", version.number, self.config.name)


def unknown_label(label: str) -> Refusal:
    """TF Serving's words for a label that no version has."""
    return invalid(f"Unrecognized servable version label: {label}")


def not_found(model: str, number: int | None) -> Refusal:
    """TF Serving's words for a model or version that is not there."""
    which = f"Latest({model})" if number is None else f"Specific({model}, {number})"
    return Refusal("NOT_FOUND", f"Servable not found for request: {which}")


def _files(directory: str) -> tuple[object, ...]:
    found = []
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            try:
                status = os.stat(path)
            except OSError:
                continue
            found.append((path, status.st_size, status.st_mtime_ns))
    return tuple(sorted(found))
