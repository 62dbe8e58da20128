"""All models of `models.config`, updated by a thread that polls the file and the serving directories."""

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from components import shell_command
from components.errors import UserError
from pipeline.config.serving import BatchingSettings
from serving.embedded.metrics import Metrics
from serving.embedded.models.batching import Predictor
from serving.embedded.models.loaded import LoadedModel
from serving.embedded.models.served import ServedVersions, Version, not_found, unknown_label
from serving.embedded.statuses import RequestError
from serving.tf_serving import model_config

_log = logging.getLogger(__name__)
_MAX_POLL_SECONDS = 0.25  # listing a local directory is cheap, and a new version is served at once


class Catalogue:
    """Models by name.

    Example in tests/serving/embedded/models/test_catalogue.py:
    `test_models_are_loaded_at_the_start_and_new_versions_follow`.
    """

    def __init__(
        self,
        config_file: str,
        batching: BatchingSettings,
        poll_seconds: float,
        config_poll_seconds: float,
        metrics: Metrics,
    ) -> None:
        """Read the configuration; `start` loads the models.

        Args:
          config_file: TF Serving's `models.config`.
          batching: sizes of batch and queue, number of threads.
          poll_seconds: interval between scans for versions; 0: scan only once.
          config_poll_seconds: interval between reads of the configuration; 0: read it only once.
          metrics: receives loads of versions, and the durations of warm-ups and of requests.

        Raises:
          UserError: the configuration cannot be read.
        """
        self._config_file, self._batching, self._metrics = config_file, batching, metrics
        self._poll, self._config_poll = min(poll_seconds, _MAX_POLL_SECONDS), config_poll_seconds
        self._executor = ThreadPoolExecutor(batching.threads or os.cpu_count() or 1, "request")
        self._models: dict[str, ServedVersions] = {}
        # Models whose base path changed: they replace those of `_models` once a version is available.
        self._replacements: dict[str, ServedVersions] = {}
        self._last_errors: dict[str, str] = {}
        self._stopping = threading.Event()
        self._scanned = threading.Event()
        self._configure()
        self._thread = threading.Thread(target=self._watch, name="versions", daemon=True)

    def start(self) -> None:
        """Load the models and keep polling in the background; return after the first scan."""
        self._thread.start()
        self._scanned.wait()

    def stop_loading(self) -> None:
        """Stop polling and loading; loaded versions keep answering until `close`."""
        self._stopping.set()

    def close(self) -> None:
        """Stop polling and unload all models."""
        self.stop_loading()
        if self._thread.is_alive():
            self._thread.join()
        for served in (*self._models.values(), *self._replacements.values()):
            served.close()
        self._executor.shutdown()

    def model(self, name: str, number: int | None = None, label: str | None = None) -> ServedVersions:
        """Return a model by name; the error quotes the requested number or label.

        Raises:
          RequestError: the model is not in the configuration.
        """
        served = self._models.get(name)
        if served is None:
            raise not_found(name, number) if label is None else unknown_label(label)
        return served

    def knows(self, name: str) -> bool:
        """Return whether a model is in the configuration."""
        return name in self._models

    def status(self, name: str, number: int | None) -> list[Version]:
        """Return the versions of a model, newest first, or only one of them.

        Raises:
          RequestError: there is no such version.
        """
        served = self._models.get(name)
        versions = served.versions() if served else []
        wanted = [version for version in versions if number in (None, version.number)]
        if not wanted:
            which = "any versions" if number is None else f"version {number}"
            raise RequestError("NOT_FOUND", f"Could not find {which} of model {name}")
        return wanted

    def _configure(self) -> None:
        if not os.path.exists(self._config_file):
            raise UserError(
                f"The list of models to serve does not exist; `{shell_command.of('serving', 'up')}` writes one. "
                f"Received: {self._config_file}"
            )
        configs = model_config.read(self._config_file)
        if self._models and not configs:
            # Probably a file that is still being written: an operator who wants to serve no model stops the server.
            raise UserError(f"The file lists no model. To serve none, stop the server. Received: {self._config_file}")
        models: dict[str, ServedVersions] = {}
        replacements: dict[str, ServedVersions] = {}
        for config in configs:
            current = self._models.get(config.name)
            candidates = (current, self._replacements.get(config.name))
            known = [served for served in candidates if served and served.config.base_path == config.base_path]
            served = known[0] if known else ServedVersions(config, self._load)
            served.config = config
            models[config.name] = served
            if current is not None and current is not served and current.available():
                models[config.name], replacements[config.name] = current, served
        before = {*self._models.values(), *self._replacements.values()}
        self._models, self._replacements = models, replacements
        _unload(before - {*models.values(), *replacements.values()})

    def _scan(self) -> None:
        """Update the versions of each model, and switch to each replacement that has an available version."""
        for served in (*self._models.values(), *self._replacements.values()):
            action = f"Scanning {served.config.base_path} for versions of {served.config.name}"
            self._attempt(action, served.reconcile)
        ready = {name: served for name, served in self._replacements.items() if served.available()}
        replaced = {self._models[name] for name in ready}
        self._models = {**self._models, **ready}
        self._replacements = {name: served for name, served in self._replacements.items() if name not in ready}
        _unload(replaced)

    def _load(self, name: str, directory: str) -> Predictor:
        if self._stopping.is_set():
            raise RequestError("UNAVAILABLE", "The server is shutting down")
        try:
            model = LoadedModel(directory)
        except Exception:
            self._metrics.count_load(directory, "fail")
            raise
        self._metrics.count_load(directory, "success")
        if model.warm_up_seconds is not None:
            self._metrics.record_warmup(directory, model.warm_up_seconds)
        rows = self._batching.max_rows
        record_runtime = partial(self._metrics.record_runtime, name)
        return Predictor(model, self._executor, rows, self._batching.max_waiting * rows, record_runtime)

    def _watch(self) -> None:
        """Scan for versions and read the configuration, each at its interval, until `stop_loading`."""
        never = float("inf")
        scan_at, config_at = 0.0, time.monotonic() + self._config_poll if self._config_poll else never
        while not self._stopping.is_set():
            now = time.monotonic()
            if now >= config_at:
                self._attempt("Reading models.config", self._configure)
                config_at = now + self._config_poll
                scan_at = 0.0  # a changed policy may select other versions
            if now >= scan_at:
                self._scan()
                scan_at = now + self._poll if self._poll else never
            self._scanned.set()
            wait = min(scan_at, config_at) - time.monotonic()
            self._stopping.wait(None if wait == never else max(wait, 0.0))
        self._scanned.set()

    def _attempt(self, action: str, work: Callable[[], None]) -> None:
        """Run `work`; log an error once and not at each attempt."""
        try:
            work()
        except UserError as error:
            if self._is_new(action, error):
                _log.error("%s failed; nothing changes: %s", action, error)
        except Exception as error:
            if self._is_new(action, error):
                _log.exception("%s failed; trying again", action)
        else:
            self._last_errors.pop(action, None)

    def _is_new(self, action: str, error: Exception) -> bool:
        before, self._last_errors[action] = self._last_errors.get(action), repr(error)
        return before != repr(error)


def _unload(models: set[ServedVersions]) -> None:
    """Unload in the background, because requests in progress may take long."""
    for served in models:
        threading.Thread(target=served.close, name="unload-model").start()
