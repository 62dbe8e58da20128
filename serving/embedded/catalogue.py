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
from serving.embedded.served import Served, Version, not_found, unknown_label
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
        self._poll, self._config_poll = min(poll_seconds, _LOOK_SECONDS), config_poll_seconds
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

    def end(self) -> None:
        """Look no more and load nothing more; what is loaded goes on answering until `close`."""
        self._ended.set()

    def close(self) -> None:
        """Stop looking and unload everything."""
        self.end()
        if self._thread.is_alive():
            self._thread.join()
        for served in self._models.values():
            served.close()
        self._alone.shutdown()

    def model(self, name: str, number: int | None = None, label: str | None = None) -> Served:
        """A model by name; number or label are what was asked for of it, and are told when there is no such model.

        Raises:
          Refusal: it is not in the configuration.
        """
        served = self._models.get(name)
        if served is None:
            raise not_found(name, number) if label is None else unknown_label(label)
        return served

    def knows(self, name: str) -> bool:
        """Whether a model is in the configuration."""
        return name in self._models

    def status(self, name: str, number: int | None) -> list[Version]:
        """Versions of a model, newest first; all of them or one.

        Raises:
          Refusal: there is none such.
        """
        served = self._models.get(name)
        versions = served.versions() if served else []
        wanted = [version for version in versions if number in (None, version.number)]
        if not wanted:
            which = "any versions" if number is None else f"version {number}"
            raise Refusal("NOT_FOUND", f"Could not find {which} of model {name}")
        return wanted

    def _configure(self) -> None:
        if not os.path.exists(self._config_file):
            raise UserError(
                "The list of models to serve is not there; `python -m serving up` writes one. "
                f"Received: {self._config_file}"
            )
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
        if self._ended.is_set():
            raise Refusal("UNAVAILABLE", "The server is ending")
        started = time.monotonic()
        loaded = Loaded(directory)
        self._told(name, time.monotonic() - started)
        return Answering(
            loaded, self._alone, self._batching.max_rows, self._batching.max_waiting * self._batching.max_rows
        )

    def _watch(self) -> None:
        """Look at the versions, and at the configuration, each in its own time."""
        never = float("inf")
        versions_at, config_at = 0.0, time.monotonic() + self._config_poll if self._config_poll else never
        while not self._ended.is_set():
            now = time.monotonic()
            if now >= config_at:
                self._attempt("Reading models.config", self._configure)
                config_at = now + self._config_poll
                versions_at = 0.0  # another policy wants other versions
            if now >= versions_at:
                for served in self._models.values():
                    self._attempt(f"Looking for versions of {served.config.name}", served.reconcile)
                versions_at = now + self._poll if self._poll else never
            self._looked.set()
            wait = min(versions_at, config_at) - time.monotonic()
            self._ended.wait(None if wait == never else max(wait, 0.0))
        self._looked.set()

    def _attempt(self, what: str, work: Callable[[], None]) -> None:
        try:
            work()
        except UserError as error:
            _log.error("%s failed, everything stays as it was: %s", what, error)
        except Exception:
            _log.exception("%s failed; trying again", what)
