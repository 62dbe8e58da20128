"""The versions of one model, loaded and unloaded in TF Serving's order.

A new version becomes available before the old one is unloaded; the old one stays while the new one fails to load.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from components.models.versions import is_version_number
from serving.client.status import AVAILABLE
from serving.embedded.models.batching import Predictor
from serving.embedded.statuses import RequestError, internal, invalid
from serving.rollout import labels
from serving.tf_serving.model_config import ServedModel

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 60.0  # between attempts to load a version that failed; none if its files change

Load = Callable[[str, str], Predictor]  # model name, directory


@dataclass
class Version:
    """State of one version.

    Attributes:
      state: name in TF Serving's `ModelVersionStatus.State`.
      users: number of requests that use the version.
      failed_at: monotonic time at which loading last failed.
      files: paths, sizes and times of its files at the last attempt to load it.

    Example:
      >>> Version(3, "END", "DATA_LOSS", "truncated file").error_message
      'truncated file'
    """

    number: int
    state: str = "START"
    error_code: str = "OK"
    error_message: str = ""
    predictor: Predictor | None = None
    users: int = 0
    failed_at: float = 0.0
    files: tuple[object, ...] = ()


class ServedVersions:
    """The versions of one model.

    Example: `test_the_last_version_stays_while_the_newest_is_broken` in tests/serving/embedded/models/test_served.py.

    One thread calls `reconcile`; any thread may call the other methods.
    """

    def __init__(self, config: ServedModel, load: Load) -> None:
        """Start without versions; `reconcile` loads them with `load`."""
        self.config = config
        self._load = load
        self._versions: dict[int, Version] = {}
        self._lock = threading.Lock()
        self._last_error = ""

    def versions(self) -> list[Version]:
        """Return the versions found so far, newest first."""
        with self._lock:
            return [self._versions[number] for number in sorted(self._versions, reverse=True)]

    def available(self) -> bool:
        """Return whether at least one version is available."""
        return any(version.state == AVAILABLE for version in self.versions())

    @contextmanager
    def use(self, number: int | None = None, label: str | None = None) -> Iterator[tuple[int, Predictor]]:
        """Keep a version loaded inside a `with` block: the requested one, or the newest that is available.

        Raises:
          RequestError: no such version is available.
        """
        if label is not None:
            number = self.config.labels.get(label)
            if number is None:
                raise unknown_label(label)
        with self._lock:
            available = {version.number for version in self._versions.values() if version.state == AVAILABLE}
            if not available or number not in (None, *available):
                raise not_found(self.config.name, number)
            version = self._versions[max(available) if number is None else number]
            version.users += 1
            assert version.predictor is not None
        try:
            yield version.number, version.predictor
        finally:
            with self._lock:
                version.users -= 1

    def reconcile(self) -> None:
        """Load the versions that directory and policy select, then unload the others."""
        directories = self._directories()
        if directories is None:
            return
        wanted = set(labels.allowed(self.config.policy, sorted(directories)))
        for number in sorted(wanted, reverse=True):
            self._bring_up(number, directories[number])
        with self._lock:
            available = {number for number, version in self._versions.items() if version.state == AVAILABLE}
        if not wanted or available & wanted:
            for number in available - wanted:
                self._take_down(self._versions[number])

    def close(self) -> None:
        """Unload all versions; return after the requests in progress are finished."""
        for version in self.versions():
            if version.state == AVAILABLE:
                self._drain(version)

    def _directories(self) -> dict[int, str] | None:
        try:
            names = os.listdir(self.config.base_path)
        except OSError as error:
            self._log_once(f"Cannot list the versions of {self.config.name}: {error}")
            return None
        return {int(name): os.path.join(self.config.base_path, name) for name in names if is_version_number(name)}

    def _bring_up(self, number: int, directory: str) -> None:
        """Load a version unless it is loaded, or its files are those that failed to load a moment ago."""
        with self._lock:
            version = self._versions.get(number)
            if version is None or (version.state == "END" and version.error_code == "OK"):
                version = self._versions[number] = Version(number)
        if version.state == AVAILABLE:
            self._reload_if_completed(version, directory)
        if version.state in ("LOADING", AVAILABLE, "UNLOADING"):
            return
        files = _files(directory)
        if version.state == "END" and files == version.files and time.monotonic() - version.failed_at < _RETRY_SECONDS:
            return
        version.state, version.files = "LOADING", files
        self._load_version(version, directory)

    def _load_version(self, version: Version, directory: str) -> None:
        started = time.monotonic()
        try:
            predictor = self._load(self.config.name, directory)
        except Exception as cause:
            error = cause if isinstance(cause, RequestError) else internal(cause)
            self._log_once(f"Version {version.number} of {self.config.name} cannot be loaded: {error.message}")
            version.failed_at = time.monotonic()
            version.error_code, version.error_message = error.code, error.message
            version.state = "END"
            return
        with self._lock:
            version.predictor, version.error_code, version.error_message = predictor, "OK", ""
            version.state = AVAILABLE
        seconds = time.monotonic() - started
        _log.info("Version %d of %s is available after %.2f s", version.number, self.config.name, seconds)

    def _reload_if_completed(self, version: Version, directory: str) -> None:
        """Reload a version that runs unbatched, if files were added since: its limits may have been copied late."""
        if version.predictor is None or version.predictor.batched:
            return
        files = _files(directory)
        if files == version.files:
            return
        version.files = files
        try:
            predictor = self._load(self.config.name, directory)
        except Exception as error:
            self._log_once(f"Version {version.number} of {self.config.name} cannot be reloaded and stays: {error}")
            return
        with self._lock:
            self._versions[version.number] = Version(version.number, AVAILABLE, predictor=predictor, files=files)
        self._take_down(version)
        _log.info("Version %d of %s was reloaded because its files changed", version.number, self.config.name)

    def _log_once(self, message: str) -> None:
        """Log an error unless it is the last one, because each scan repeats it."""
        if message != self._last_error:
            self._last_error = message
            _log.error("%s", message)

    def _take_down(self, version: Version) -> None:
        with self._lock:
            version.state = "UNLOADING"
        # In the background: requests in progress may take long, and the next version must not wait for them.
        threading.Thread(target=self._drain, args=(version,), name=f"unload-{version.number}").start()

    def _drain(self, version: Version) -> None:
        with self._lock:
            version.state = "UNLOADING"
        while version.users:
            time.sleep(0.05)
        if version.predictor is not None:
            version.predictor.close()
        with self._lock:
            version.predictor = None
            version.state = "END"
        _log.info("Version %d of %s is unloaded", version.number, self.config.name)


def unknown_label(label: str) -> RequestError:
    """Return TF Serving's error for a label that no version has."""
    return invalid(f"Unrecognized servable version label: {label}")


def not_found(model: str, number: int | None) -> RequestError:
    """Return TF Serving's error for a model or version that is not available."""
    which = f"Latest({model})" if number is None else f"Specific({model}, {number})"
    return RequestError("NOT_FOUND", f"Servable not found for request: {which}")


def _files(directory: str) -> tuple[object, ...]:
    """Return path, size and time of each file, which change while files are being copied."""
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
