"""Apply a change of labels or policy to `models.config`, in an order that every server can follow."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from components import shell_command
from components.errors import UserError
from pipeline.config.serving import ServingSettings
from serving.rollout import awaited, inventory, labels
from serving.rollout.inventory import ModelPaths
from serving.rollout.server import Server
from serving.tf_serving import model_config
from serving.tf_serving.model_config import Latest, ServedModel, Specific

Change = Callable[[ServedModel, Sequence[int]], ServedModel]  # from an entry and the complete versions to a new entry


def read_seconds(settings: ServingSettings) -> float:
    """Return the seconds after which every server has read a changed `models.config` and looked for versions."""
    return 2.0 * settings.config_poll_seconds + settings.poll_seconds


def entry_or_first(paths: ModelPaths, model: ServedModel | None, versions: Sequence[int]) -> ServedModel:
    """Return the model's entry, or the first one that it would get."""
    return model or labels.first_entry(paths.name, paths.base, versions)


def is_copy(paths: ModelPaths, model: ServedModel) -> bool:
    """Whether the entry names another local directory: `models.config` was copied together with its models."""
    return os.path.isdir(model.base_path) and not os.path.samefile(model.base_path, paths.base)


def require_original(paths: ModelPaths, model: ServedModel | None) -> None:
    """Check that the entry, if there is one, is about the versions in these paths.

    Raises:
      UserError: servers that read the entry serve the versions of another directory.
    """
    if model is not None and is_copy(paths, model):
        up = shell_command.of("serving", "up")
        raise UserError(
            f"This is a copy: {paths.config_path} serves the versions in {model.base_path}. Give the original with "
            f"--root or --serving-dir; or, to serve the copy, start it with `{up}`, or fix base_path in the file. "
            f"Received: versions in {paths.base}"
        )


def apply(
    paths: ModelPaths,
    change: Change,
    settings: ServingSettings,
    url: str,
    report: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
    must_answer: bool = False,
) -> ServedModel:
    """Change the entry; labels move only to versions that the server at `url`, if there is one, has loaded.

    The last step makes the change from what the file then holds, so that the result is as if commands that run at the
    same time had run one after another. A command that fails or is interrupted withdraws the versions that it served
    meanwhile, and leaves what other commands have changed.

    Args:
      change: makes the new entry. It is called again at every step. If it then moves a label to another version, that
        one has to be loaded as well.
      settings: how often servers poll the file, and how long a version may load.
      url: base URL of a server.
      must_answer: change nothing without a server that knows the model.

    Returns:
      The new entry.

    Raises:
      UserError: there is no version, the change is impossible, no server responds although one must, the server cannot
        load a version that gets a label, or another command has withdrawn that version meanwhile.
    """
    server = Server(url.rstrip("/"), paths.name, settings, report, sleep)
    return _Rollout(paths, change, server).run(must_answer)


@dataclass
class _Rollout:
    """One change in progress.

    Attributes:
      id: of this command among those that await versions.
      done: whether the new entry is written.
      waits: whether the last step served a version that servers have to learn of.
      awaits: whether any step did.
      entry: what the file held after the last step.
      moved: versions that get a label by the change of that entry.
      settled: versions that were served at some step, not only because other commands await them.
      latest: a policy that this command replaced, and the one that it wrote.
    """

    paths: ModelPaths
    change: Change
    server: Server
    id: str = field(default_factory=lambda: os.urandom(4).hex())
    has_server: bool = False
    done: bool = False
    waits: bool = False
    awaits: bool = False
    entry: ServedModel | None = None
    moved: set[int] = field(default_factory=set)
    settled: set[int] = field(default_factory=set)
    latest: tuple[Latest, Latest] | None = None

    def run(self, must_answer: bool) -> ServedModel:
        # An impossible change fails before the server is asked.
        before, _, versions = self._plan(model_config.find(self.paths.config_path, self.paths.name))
        self.settled = awaited.settled(before, versions, self.id)
        self.has_server = self.server.is_present(must_answer)
        try:
            while True:
                entry = self._update(self._step)
                if self.done and entry is not None:
                    return entry
                if self.waits:
                    self._wait_until_read()
                if self.has_server:
                    self.server.wait_for(self.moved)
        except BaseException:
            self._give_up()
            raise

    def _plan(self, entry: ServedModel | None) -> tuple[ServedModel, ServedModel, list[int]]:
        """Return the entry before and after the change, and the complete versions."""
        require_original(self.paths, entry)
        versions = inventory.require_versions(self.paths)
        before = entry_or_first(self.paths, entry, versions)
        return before, self.change(before, versions), versions

    def _step(self, entry: ServedModel | None) -> ServedModel | None:
        """Return the next entry to write, made from what the lock holds; None if the server has to be asked first."""
        before, after, versions = self._plan(entry)
        moved = awaited.moved(before, after)
        missing = moved - awaited.settled(before, versions, self.id)
        if missing & self.settled and isinstance(before.policy, Specific):
            raise _withdrawn(min(missing & self.settled))
        self.settled |= moved
        self.waits = bool(missing)
        if missing:
            self.awaits = True
            self.entry, self.moved = awaited.served(before, missing, versions, self.id), moved
            if isinstance(before.policy, Latest) and isinstance(self.entry.policy, Latest):
                self.latest = (self.latest[0] if self.latest else before.policy, self.entry.policy)
            return self.entry
        # What the server reported is valid for the entry that it was asked about.
        self.done = not self.has_server or (moved <= self.moved and (entry == self.entry or not moved))
        self.entry, self.moved = entry, moved
        return awaited.done(after, self.id) if self.done else None

    def _wait_until_read(self) -> None:
        self.server.report("a withdrawn version has to be loaded first; waiting until servers have read models.config")
        self.server.sleep(read_seconds(self.server.settings))

    def _give_up(self) -> None:
        """Withdraw the versions that only this command awaits, even if the user interrupts that, too."""
        if not self.awaits:
            return
        try:
            self._withdraw()
        except KeyboardInterrupt:
            self._withdraw()
            raise

    def _withdraw(self) -> None:
        try:
            self._update(lambda entry: entry and awaited.given_up(entry, self.id, self.latest))
        except UserError as error:
            self.server.report(f"a version is still served without a label: {error}")

    def _update(self, change: Callable[[ServedModel | None], ServedModel | None]) -> ServedModel | None:
        return model_config.update(self.paths.config_path, self.paths.name, change)


def _withdrawn(version: int) -> UserError:
    versions = shell_command.of("serving", "versions")
    return UserError(
        f"Another command withdrew version {version} while this one waited, so no label was moved to it. Look at "
        f"`{versions}`, and repeat the command if the version should be served nevertheless. Received: version "
        f"{version}"
    )
