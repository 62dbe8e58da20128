"""Carry out a change of labels or policy on `models.config`, in an order that every server can follow."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from components.errors import UserError
from serving import inventory, model_config, release, status
from serving.inventory import Shelf
from serving.model_config import ServedModel
from serving.settings import ServingSettings

Change = Callable[[ServedModel, Sequence[int]], ServedModel]  # entry and whole versions to the entry as it shall be


def entry_of(shelf: Shelf, model: ServedModel | None, versions: Sequence[int]) -> ServedModel:
    """The model's entry, or the first one that it would get."""
    return model or release.fresh(shelf.name, shelf.base, versions)


def apply(
    shelf: Shelf,
    change: Change,
    settings: ServingSettings,
    url: str,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> ServedModel:
    """Change the entry; labels move only to versions that the server at `url` can answer with, if one is there.

    Args:
      shelf: where the model lies.
      change: what to do; asked again before it is written, because others may have changed the file meanwhile.
      settings: how often servers look at the file, and how long a version may load.
      url: base address of a server.
      say: told, in words, what is waited for.
      sleep: waits some seconds.

    Returns:
      The entry as it is now.

    Raises:
      UserError: there is no version, the change cannot be made, or the server cannot load a labelled version; the
        file is then as it was.
    """
    versions = inventory.require_versions(shelf)
    before = entry_of(shelf, model_config.find(shelf.config_path, shelf.name), versions)
    after = change(before, versions)
    first = release.step(before, after, versions)
    try:
        if first != after:
            model_config.update(shelf.config_path, shelf.name, lambda _: first)
            say("a withdrawn version has to be loaded first; waiting until the servers have seen it")
            sleep(2.0 * settings.config_poll_seconds + settings.poll_seconds)
        _await(shelf.name, release.moved(before, after), settings, url, say, sleep)
    except BaseException:
        if first != after:
            model_config.update(shelf.config_path, shelf.name, lambda now: now and replace(now, policy=before.policy))
        raise

    def last_step(entry: ServedModel | None) -> ServedModel:
        now = inventory.require_versions(shelf)
        return change(entry_of(shelf, entry, now), now)

    written = model_config.update(shelf.config_path, shelf.name, last_step)
    assert written is not None
    return written


def _await(
    model: str,
    wanted: set[int],
    settings: ServingSettings,
    url: str,
    say: Callable[[str], None],
    sleep: Callable[[float], None],
) -> None:
    """Wait until a server, if one answers for the model, has loaded the versions."""
    waited = 0.0
    while True:
        known = status.states(url, model)
        if not known:
            return
        missing = {version for version in wanted if known.get(version, _UNKNOWN).state != status.AVAILABLE}
        if not missing:
            return
        failed = {version: known[version].error for version in missing if known.get(version, _UNKNOWN).error}
        if failed or waited >= settings.start_seconds:
            version = min(failed or missing)
            state = known.get(version, _UNKNOWN)
            raise UserError(
                f"The server cannot answer with version {version} of {model}, so no label was moved to it: its state "
                f"is {state.state}{f' ({state.error})' if state.error else ''}. Choose another version, or push the "
                f"model again. Received: {url} after {waited:.0f} s"
            )
        if not waited:
            say(f"waiting until {url} has loaded version {_listed(missing)}")
        sleep(0.5)
        waited += 0.5


_UNKNOWN = status.VersionState("not loaded")


def _listed(versions: set[int]) -> str:
    return ", ".join(map(str, sorted(versions)))
