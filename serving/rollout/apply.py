"""Apply a change of labels or policy to `models.config`, in an order that every server can follow."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from components import shell_command
from components.errors import UserError
from pipeline.config.serving import ServingSettings
from serving.rollout import inventory, labels
from serving.rollout.inventory import ModelPaths
from serving.rollout.server import Server
from serving.tf_serving import model_config
from serving.tf_serving.model_config import Policy, ServedModel

Change = Callable[[ServedModel, Sequence[int]], ServedModel]  # from an entry and the complete versions to a new entry


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

    Args:
      change: makes the new entry. It is called again before the entry is written, because other processes may have
        changed the file, or pushed, meanwhile. If it then moves a label to another version, that one has to be loaded
        as well.
      settings: how often servers poll the file, and how long a version may load.
      url: base URL of a server.
      must_answer: change nothing without a server that knows the model.

    Returns:
      The new entry.

    Raises:
      UserError: there is no version, the change is impossible, no server responds although one must, or the server
        cannot load a version that gets a label; the file is then as it was.
    """
    server = Server(url.rstrip("/"), paths.name, settings, report, sleep)
    return _Rollout(paths, change, server).run(must_answer)


@dataclass(frozen=True)
class _Plan:
    """The entry before and after the change, and the next entry to write: `after`, or one that loads versions first."""

    before: ServedModel
    after: ServedModel
    next: ServedModel


@dataclass
class _Rollout:
    """One change in progress.

    Attributes:
      cleared: versions to which labels may move: the server, if there is one, has loaded them.
      policy_before: the policy before this change served withdrawn versions, None if it did not.
    """

    paths: ModelPaths
    change: Change
    server: Server
    cleared: set[int] = field(default_factory=set)
    policy_before: Policy | None = None

    def run(self, must_answer: bool) -> ServedModel:
        self._plan(self._read())  # an impossible change fails before the server is asked
        has_server = self.server.is_present(must_answer)
        try:
            while True:
                plan = self._plan(self._read())
                if plan.next != plan.after:
                    self._serve_withdrawn(plan)
                moved = self.cleared | labels.moved(plan.before, plan.after)
                if has_server:
                    self.server.wait_for(moved)
                self.cleared = moved
                entry = self._write()
                if entry is not None:
                    return entry
        except BaseException:
            self._withdraw_again()
            raise

    def _read(self) -> ServedModel | None:
        entry = model_config.find(self.paths.config_path, self.paths.name)
        require_original(self.paths, entry)
        return entry

    def _plan(self, entry: ServedModel | None) -> _Plan:
        versions = inventory.require_versions(self.paths)
        before = entry_or_first(self.paths, entry, versions)
        after = self.change(before, versions)
        return _Plan(before, after, labels.step(before, after, versions))

    def _serve_withdrawn(self, plan: _Plan) -> None:
        """Serve a withdrawn version without its label, until every server has read that."""
        self.policy_before = self.policy_before or plan.before.policy
        self._update(lambda _: plan.next)
        self.server.report("a withdrawn version has to be loaded first; waiting until servers have read models.config")
        settings = self.server.settings
        self.server.sleep(2.0 * settings.config_poll_seconds + settings.poll_seconds)

    def _write(self) -> ServedModel | None:
        """Write the new entry, made from the file's present content; None if another version has to be cleared."""
        done = False

        def last_step(entry: ServedModel | None) -> ServedModel | None:
            nonlocal done
            plan = self._plan(entry)
            done = labels.moved(plan.before, plan.after) <= self.cleared and plan.next == plan.after
            return plan.after if done else None

        written = self._update(last_step)
        return written if done else None

    def _withdraw_again(self) -> None:
        policy = self.policy_before
        if policy is not None:
            self._update(lambda entry: entry and replace(entry, policy=policy))

    def _update(self, change: Callable[[ServedModel | None], ServedModel | None]) -> ServedModel | None:
        return model_config.update(self.paths.config_path, self.paths.name, change)
