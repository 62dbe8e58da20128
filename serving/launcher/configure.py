"""What `up` writes for a model server: the model's entry in `models.config`, and the files that the flags name."""

import os
from collections.abc import Callable
from dataclasses import replace

from components.errors import UserError
from pipeline.config.serving import ServingSettings
from serving.client import status
from serving.rollout import apply, inventory, labels
from serving.rollout.inventory import Shelf
from serving.tf_serving import flags, model_config
from serving.tf_serving.model_config import ServedModel

Note = Callable[[str], None]  # is told what the user should know


def write_entry(shelf: Shelf, note: Note) -> bool:
    """Make `models.config` say what can be served from here; whether it said nothing of the model before.

    Raises:
      UserError: no model has been pushed, or the file would have to be changed and cannot be.
    """

    def change(before: ServedModel | None) -> ServedModel:
        versions = inventory.require_versions(shelf)
        entry = labels.mended(apply.entry_of(shelf, before, versions), versions)
        # Of a directory that was moved or copied, not of one that has another name as well.
        here = os.path.isdir(entry.base_path) and not apply.is_elsewhere(shelf, entry)
        return entry if here else replace(entry, base_path=shelf.base)

    before = model_config.find(shelf.config_path, shelf.name)
    entry = change(before)
    if entry != before:  # else it may lie where nothing can be written, not even a lock
        written = model_config.update(shelf.config_path, shelf.name, change)
        assert written is not None
        entry = written
    if before and before.base_path != entry.base_path:
        reason = "another directory" if os.path.isdir(before.base_path) else "which is not there"
        note(f"{shelf.config_path} said {before.base_path}, {reason}: now {entry.base_path}")
    return before is None


def write_flag_files(settings: ServingSettings, shelf: Shelf) -> str:
    """Write what the server's flags name, below the root where the serving directory is read-only; returns where.

    Raises:
      UserError: they cannot be written in either.
    """
    for directory in (shelf.serving_dir, os.path.join(shelf.root, "serving_flags")):
        try:
            os.makedirs(directory, exist_ok=True)
            flags.write_files(settings, directory)
            return directory
        except OSError as error:
            failure = error
    raise UserError(
        f"The server's configuration cannot be written: {failure.strerror}. Make room or repair the permissions. "
        f"Received: {shelf.serving_dir} and {directory}"
    ) from failure


def label_loaded(shelf: Shelf, states: dict[int, status.VersionStatus], note: Note) -> None:
    """Take the labels of a new entry from versions that could not be loaded to the newest that could.

    Args:
      shelf: where the model lies.
      states: of its versions, one of them available, as the server told.
      note: told what was changed.
    """
    loaded = max(number for number, one in states.items() if one.state == status.AVAILABLE)

    def change(entry: ServedModel | None) -> ServedModel | None:
        failed = [number for number, one in states.items() if one.failed]
        return entry and replace(
            entry,
            labels={label: loaded if number in failed else number for label, number in entry.labels.items()},
        )

    before = model_config.find(shelf.config_path, shelf.name)
    if before != change(before):
        model_config.update(shelf.config_path, shelf.name, change)
        note(f"the labels are on version {loaded}, the newest that could be loaded")
