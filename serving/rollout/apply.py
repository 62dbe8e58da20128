"""Carry out a change of labels or policy on `models.config`, in an order that every server can follow."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from components import shell_command
from components.errors import UserError
from pipeline.config.serving import ServingSettings
from serving.client import status
from serving.rollout import inventory, labels
from serving.rollout.inventory import Shelf
from serving.tf_serving import model_config
from serving.tf_serving.model_config import Policy, ServedModel

Change = Callable[[ServedModel, Sequence[int]], ServedModel]  # entry and whole versions to the entry as it shall be


def entry_of(shelf: Shelf, model: ServedModel | None, versions: Sequence[int]) -> ServedModel:
    """The model's entry, or the first one that it would get."""
    return model or labels.fresh(shelf.name, shelf.base, versions)


def is_elsewhere(shelf: Shelf, model: ServedModel) -> bool:
    """Whether the entry names another directory of this machine: then `models.config` was copied with its models."""
    return os.path.isdir(model.base_path) and not os.path.samefile(model.base_path, shelf.base)


def require_here(shelf: Shelf, model: ServedModel | None) -> None:
    """Make sure that what an entry says is about the shelf's own versions; None, no entry, says nothing else.

    Raises:
      UserError: servers that read the entry answer with the versions of another directory.
    """
    if model is not None and is_elsewhere(shelf, model):
        up = shell_command.of("serving", "up")
        raise UserError(
            f"This is a copy: {shelf.config_path} serves the versions in {model.base_path}. Name the original with "
            f"--root or --serving-dir; or, to serve the copy, start it with `{up}`, or mend "
            f"base_path in the file. Received: versions in {shelf.base}"
        )


def apply(
    shelf: Shelf,
    change: Change,
    settings: ServingSettings,
    url: str,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
    must_answer: bool = False,
) -> ServedModel:
    """Change the entry; labels move only to versions that the server at `url` can answer with, if one is there.

    Args:
      shelf: where the model lies.
      change: what to do; asked again before it is written, because others may have changed the file meanwhile, or
        pushed. If it then moves a label to another version, that one is waited for as well.
      settings: how often servers look at the file, and how long a version may load.
      url: base address of a server.
      say: told, in words, what is waited for.
      sleep: waits some seconds.
      must_answer: refuse to do anything without a server that knows the model.

    Returns:
      The entry as it is now.

    Raises:
      UserError: there is no version, the change cannot be made, no server answers that must, or the server cannot load
        a labelled version; the file is then as it was.
    """
    server = _Server(url, shelf.name, settings, say, sleep)
    asked: bool | None = None
    awaited: set[int] = set()
    withdrawn: Policy | None = None  # before anything was loaded for this
    try:
        while True:
            versions = inventory.require_versions(shelf)
            found = model_config.find(shelf.config_path, shelf.name)
            require_here(shelf, found)
            before = entry_of(shelf, found, versions)
            after = change(before, versions)
            first = labels.step(before, after, versions)
            if asked is None:
                asked = server.is_there(must_answer)
            if first != after:
                withdrawn = withdrawn or before.policy
                model_config.update(shelf.config_path, shelf.name, lambda _, first=first: first)  # type: ignore[misc]
                say("a withdrawn version has to be loaded first; waiting until the servers have seen it")
                sleep(2.0 * settings.config_poll_seconds + settings.poll_seconds)
            awaited |= labels.moved(before, after)
            if asked:
                server.wait_for(awaited)
            written = _write(shelf, change, awaited)
            if written is not None:
                return written
    except BaseException:
        if withdrawn is not None:
            policy = withdrawn
            model_config.update(shelf.config_path, shelf.name, lambda now: now and replace(now, policy=policy))
        raise


def _write(shelf: Shelf, change: Change, awaited: set[int]) -> ServedModel | None:
    """Write what the change makes of the file as it is now; None if that needs a version that was not waited for."""
    done = False

    def last_step(entry: ServedModel | None) -> ServedModel | None:
        nonlocal done
        now = inventory.require_versions(shelf)
        before = entry_of(shelf, entry, now)
        after = change(before, now)
        done = labels.moved(before, after) <= awaited and labels.step(before, after, now) == after
        return after if done else None

    written = model_config.update(shelf.config_path, shelf.name, last_step)
    return written if done else None


@dataclass(frozen=True)
class _Server:
    """The server that is asked before a label moves."""

    url: str
    model: str
    settings: ServingSettings
    say: Callable[[str], None]
    sleep: Callable[[float], None]

    def is_there(self, must_answer: bool) -> bool:
        """Whether there is a server to wait for; says so if not, or raises `UserError` if there must be."""
        try:
            known = status.fetch(self.url, self.model)
        except status.StatusUnavailable:
            return True
        if known:
            return True
        reason = f"No server answers at {self.url}" if known is None else f"{self.url} does not serve {self.model}"
        if must_answer:
            raise UserError(
                f"{reason}, so no label was moved. Give the server's address as http://HOST:PORT, the port being that "
                "of the REST API, or leave --server-url out where no server has to be asked. Received: --server-url "
                f"{self.url}"
            )
        self.say(f"{reason[0].lower()}{reason[1:]}: the labels are moved without asking")
        return False

    def wait_for(self, wanted: set[int]) -> None:
        """Wait until it has loaded the versions; it may be too busy to say, or be started again meanwhile."""
        began, slept, told = time.monotonic(), 0.0, False
        while True:
            known, unclear = self._states()
            waited = max(slept, time.monotonic() - began)  # an answer may be long in coming
            missing = {version for version in wanted if status.of(known, version).state != status.AVAILABLE}
            if not missing:
                return
            failed = {version for version in missing if status.of(known, version).failed}
            if failed or waited >= self.settings.start_seconds:
                version = min(failed or missing)
                state = status.of(known, version)
                said = (
                    unclear or f"its state is {state.state}{f' ({state.error_message})' if state.error_message else ''}"
                )
                raise UserError(
                    f"The server cannot answer with version {version} of {self.model}, so no label was moved to it: "
                    f"{said}. Choose another version, push the model again, or name the right server with "
                    f"--server-url. Received: {self.url} after {waited:.0f} s"
                )
            if not told:
                told = True
                self.say(f"waiting until {self.url} has loaded version {_listed(missing)}")
            self.sleep(0.5)
            slept += 0.5

    def _states(self) -> tuple[dict[int, status.VersionStatus], str]:
        """What is known of the versions and, where nothing is, why."""
        try:
            known = status.fetch(self.url, self.model)
        except status.StatusUnavailable as error:
            return {}, str(error)
        return known or {}, "" if known else "it answers no more" if known is None else "it does not know the model"


def _listed(versions: set[int]) -> str:
    return ", ".join(map(str, sorted(versions)))
