"""All models of `models.config`, kept up to date by a thread that looks again and again."""

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
from serving.embedded.models.batching import Answering
from serving.embedded.models.loaded import Loaded
from serving.embedded.models.served import Served, Version, not_found, unknown_label
from serving.embedded.statuses import Refusal
from serving.tf_serving import model_config
from serving.tf_serving.model_config import ServedModel

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
        metrics: Metrics,
    ) -> None:
        """Read the configuration; nothing is loaded before `start`.

        Args:
          config_file: TF Serving's `models.config`.
          poll_seconds: between looks for new versions; 0: only once.
          config_poll_seconds: between looks at the configuration; 0: only once.
          metrics: gets the times of warm-ups and of the graphs.

        Raises:
          UserError: the configuration cannot be read.
        """
        self._config_file, self._batching, self._metrics = config_file, batching, metrics
        self._poll, self._config_poll = min(poll_seconds, _LOOK_SECONDS), config_poll_seconds
        self._alone = ThreadPoolExecutor(batching.threads or os.cpu_count() or 1, "request")
        self._models: dict[str, Served] = {}
        self._coming: dict[str, Served] = {}  # from another directory, as soon as a version of it can answer
        self._complaints: dict[str, str] = {}
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
        for served in (*self._models.values(), *self._coming.values()):
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
                f"The list of models to serve is not there; `{shell_command.of('serving', 'up')}` writes one. "
                f"Received: {self._config_file}"
            )
        wanted = model_config.read(self._config_file)
        if self._models and not wanted:
            # A file that somebody is writing, or that was cut off: whoever wants to serve nothing ends the server.
            raise UserError(f"It lists no model. To serve nothing, end the server. Received: {self._config_file}")
        models: dict[str, Served] = {}
        coming: dict[str, Served] = {}
        for config in wanted:
            now = self._models.get(config.name)
            known = [one for one in (now, self._coming.get(config.name)) if one and _same_place(one.config, config)]
            served = known[0] if known else Served(config, self._load)
            served.config = config
            models[config.name] = served
            if now is not None and now is not served and now.available():
                models[config.name], coming[config.name] = now, served
        before = {*self._models.values(), *self._coming.values()}
        self._models, self._coming = models, coming
        _unload(before - {*models.values(), *coming.values()})

    def _look(self) -> None:
        """Look for versions of every model, and change over to those that have come from another directory."""
        for served in (*self._models.values(), *self._coming.values()):
            what = f"Looking for versions of {served.config.name} in {served.config.base_path}"
            self._attempt(what, served.reconcile)
        arrived = {name: served for name, served in self._coming.items() if served.available()}
        replaced = {self._models[name] for name in arrived}
        self._models = {**self._models, **arrived}
        self._coming = {name: served for name, served in self._coming.items() if name not in arrived}
        _unload(replaced)

    def _load(self, name: str, directory: str) -> Answering:
        if self._ended.is_set():
            raise Refusal("UNAVAILABLE", "The server is ending")
        loaded = Loaded(directory)
        if loaded.warm_up_seconds is not None:
            self._metrics.warmed_up(directory, loaded.warm_up_seconds)
        rows = self._batching.max_rows
        ran = partial(self._metrics.ran, name)
        return Answering(loaded, self._alone, rows, self._batching.max_waiting * rows, ran)

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
                self._look()
                versions_at = now + self._poll if self._poll else never
            self._looked.set()
            wait = min(versions_at, config_at) - time.monotonic()
            self._ended.wait(None if wait == never else max(wait, 0.0))
        self._looked.set()

    def _attempt(self, what: str, work: Callable[[], None]) -> None:
        """Do it; what goes wrong is told once and not at every attempt."""
        try:
            work()
        except UserError as error:
            if self._is_news(what, error):
                _log.error("%s failed, everything stays as it was: %s", what, error)
        except Exception as error:
            if self._is_news(what, error):
                _log.exception("%s failed; trying again", what)
        else:
            self._complaints.pop(what, None)

    def _is_news(self, what: str, error: Exception) -> bool:
        before, self._complaints[what] = self._complaints.get(what), repr(error)
        return before != repr(error)


def _same_place(one: ServedModel, other: ServedModel) -> bool:
    return one.base_path == other.base_path


def _unload(gone: set[Served]) -> None:
    """Requests under way may take long, and nothing else shall wait for them."""
    for served in gone:
        threading.Thread(target=served.close, name="unload-model").start()
