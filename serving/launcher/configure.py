"""The files that `up` writes for a model server: the model's entry in `models.config`, and those that flags name."""

import os
from collections.abc import Callable
from dataclasses import replace

from components.errors import UserError
from components.models import versions
from pipeline.config.serving import ServingSettings
from serving.client import status
from serving.rollout import apply, inventory, labels
from serving.rollout.inventory import ModelPaths
from serving.tf_serving import flags, model_config
from serving.tf_serving.model_config import ServedModel

Note = Callable[[str], None]  # prints a message that the user should read


def write_entry(paths: ModelPaths, note: Note) -> bool:
    """Write or correct the model's entry in `models.config`; returns whether there was none before.

    Raises:
      UserError: no model has been pushed, or the file has to change and cannot be written.
    """

    def change(before: ServedModel | None) -> ServedModel:
        versions = inventory.require_versions(paths)
        entry = labels.repaired(apply.entry_or_first(paths, before, versions), versions)
        # The base path changes for a directory that was moved or copied, not for another name of the same one.
        here = os.path.isdir(entry.base_path) and not apply.is_copy(paths, entry)
        return entry if here else replace(entry, base_path=paths.base)

    before = model_config.find(paths.config_path, paths.name)
    entry = change(before)
    if entry != before:  # no lock file otherwise: the directory may be read-only
        written = model_config.update(paths.config_path, paths.name, change)
        assert written is not None
        entry = written
    if before and before.base_path != entry.base_path:
        reason = "is another directory" if os.path.isdir(before.base_path) else "does not exist"
        note(f"base_path in {paths.config_path} is now {entry.base_path}: {before.base_path} {reason}")
    return before is None


def write_flag_files(settings: ServingSettings, paths: ModelPaths) -> str:
    """Write the files that the server's flags name; returns their directory.

    That is the serving directory, or one below the root if the serving directory is read-only.

    Raises:
      UserError: neither can be written.
    """
    for directory in (paths.serving_dir, os.path.join(paths.root, "serving_flags")):
        try:
            os.makedirs(directory, exist_ok=True)
            flags.write_files(settings, directory)
            return directory
        except OSError as error:
            failure = error
    raise UserError(
        f"The server's configuration cannot be written: {failure.strerror}. Free disk space or fix the permissions. "
        f"Received: {paths.serving_dir} and {directory}"
    ) from failure


def label_loaded(paths: ModelPaths, states: dict[int, status.VersionStatus], note: Note) -> None:
    """Move the labels of a new entry from versions that failed to load to the newest that loaded.

    Args:
      states: status of its versions, one of them available.
    """
    loaded = max(number for number, one in states.items() if one.state == status.AVAILABLE)

    def change(entry: ServedModel | None) -> ServedModel | None:
        failed = [number for number, one in states.items() if one.failed]
        found = versions.complete(paths.base)
        if entry is None or loaded not in labels.allowed(entry.policy, found):  # withdrawn or deleted meanwhile
            return entry
        return replace(
            entry,
            labels={label: loaded if number in failed else number for label, number in entry.labels.items()},
        )

    before = model_config.find(paths.config_path, paths.name)
    if before != change(before):
        model_config.update(paths.config_path, paths.name, change)
        note(f"the labels are on version {loaded}, the newest that could be loaded")
