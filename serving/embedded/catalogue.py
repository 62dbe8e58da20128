"""All models of `models.config`, kept up to date by a thread that looks again and again."""

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from components.errors import UserError
from serving import model_config
from serving.embedded.answering import Answering
from serving.embedded.loaded import Loaded
from serving.embedded.served import Served, Version, not_found
from serving.embedded.statuses import Refusal
from serving.settings import BatchingSettings

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 0.25  # looking into a local directory costs next to nothing, and a new version shall not wait


class Catalogue:
    """Models by name."""

    def __init__(
        self,
        config_file: str,
        batching: BatchingSettings,
        poll_seconds: float,
        config_poll_seconds: float,
        loaded: Callable[[str, float], None],
    ) -> None:
        """Read the configuration; nothing is loaded before `start`.

        Args:
          config_file: TF Serving's `models.config`.
          poll_seconds: between looks for new versions; 0: only once.
          config_poll_seconds: between looks at the configuration; 0: only once.
          loaded: is told of every load, model and seconds.

        Raises:
          UserError: the configuration cannot be read.
        """
        self._config_file, self._batching, self._told = config_file, batching, loaded
        self._poll = min(poll_seconds, _LOOK_SECONDS)
        self._config_poll = config_poll_seconds
        self._alone = ThreadPoolExecutor(batching.threads or os.cpu_count() or 1, "request")
        self._models: dict[str, Served] = {}
        self._ended = threading.Event()
        self._looked = threading.Event()
        self._configure()
        self._thread = threading.Thread(target=self._watch, name="versions", daemon=True)

    def start(self) -> None:
        """Load what is there, and go on looking in the background."""
        self._thread.start()
        self._looked.wait()

    def close(self) -> None:
        """Stop looking and unload everything."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        for served in self._models.values():
            served.close()
        self._alone.shutdown()

    def model(self, name: str) -> Served:
        """A model by name.

        Raises:
          Refusal: it is not in the configuration.
        """
        served = self._models.get(name)
        if served is None:
            raise not_found(name, None)
        return served

    def status(self, name: str, number: int | None) -> list[Version]:
        """Versions of a model, newest first; all of them or one.

        Raises:
          Refusal: there is none such.
        """
        served = self._models.get(name)
        versions = served.versions() if served else []
        if not versions:
            raise Refusal("NOT_FOUND", f"Could not find any versions of model {name}")
        if number is None:
            return versions
        wanted = [version for version in versions if version.number == number]
        if not wanted:
            raise Refusal("NOT_FOUND", f"Could not find version {number} of model {name}")
        return wanted

    def _configure(self) -> None:
        models = dict(self._models)
        wanted = {config.name: config for config in model_config.read(self._config_file)}
        for name, config in wanted.items():
            if name not in models or models[name].config.base_path != config.base_path:
                models[name] = Served(config, self._load)
            models[name].config = config
        gone = [served for name, served in self._models.items() if models.get(name) is not served or name not in wanted]
        self._models = {name: models[name] for name in wanted}
        for served in gone:
            threading.Thread(target=served.close, name="unload-model").start()

    def _load(self, name: str, directory: str) -> Answering:
        started = time.monotonic()
        loaded = Loaded(directory)
        self._told(name, time.monotonic() - started)
        return Answering(
            loaded, self._alone, self._batching.max_rows, self._batching.max_waiting * self._batching.max_rows
        )

    def _watch(self) -> None:
        looked = time.monotonic()
        while True:
            if self._config_poll and time.monotonic() - looked >= self._config_poll:
                looked = time.monotonic()
                try:
                    self._configure()
                except UserError as error:
                    _log.error("models.config stays as it was: %s", error)
            for served in list(self._models.values()):
                try:
                    served.reconcile()
                except Exception:
                    _log.exception("Looking for versions of %s failed; trying again", served.config.name)
            self._looked.set()
            if self._ended.wait(self._poll or None):
                return
