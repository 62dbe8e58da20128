"""Delete the oldest versions, so that the newest N remain.

Never deleted: a version with a label, the one that responds without a label, and any above `stable`. After a change of
labels it waits until servers have read it, because until then they answer a label with its previous version.
"""

import argparse
import os
import time
from collections.abc import Callable

from components.errors import UserError
from components.models import versions
from serving.commands.shared import config_options
from serving.rollout import apply, inventory, labels
from serving.rollout.inventory import ModelPaths
from serving.tf_serving import model_config
from serving.tf_serving.model_config import ServedModel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `prune`."""
    parser.add_argument("--keep", type=int, required=True, metavar="N", help="number of the newest versions to keep")
    config_options.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Delete, and print what was deleted."""
    if arguments.keep < 1:
        raise UserError(f"At least one version is kept. Received: --keep {arguments.keep}")
    config = config_options.load(arguments)
    paths = ModelPaths.of(config)
    inventory.require_versions(paths)
    deleted, errors = delete_oldest(paths, arguments.keep, apply.read_seconds(config.serving), _wait)
    left = labels.listed(versions.complete(paths.base))
    print(f"deleted: {labels.listed(deleted) or 'nothing'}; left: {left}", flush=True)
    if errors:
        raise UserError(
            "Not all files could be deleted. No server reads those of a deleted version, but they use space. Fix their "
            "permissions or delete them as their owner, and prune again. Received: "
            + "; ".join(f"{error.filename}: {error.strerror}" for error in errors)
        )
    return 0


def delete_oldest(
    paths: ModelPaths, keep: int, read_seconds: float = 0.0, wait: Callable[[float], None] = time.sleep
) -> tuple[list[int], list[OSError]]:
    """Delete the oldest versions that are not in use, under the lock of `models.config`, so that none gets a label.

    Args:
      read_seconds: time in which servers read a changed file; nothing is deleted before.
      wait: sleeps for that time, without the lock.

    Returns:
      The deleted versions, and the errors of files that could not be deleted.

    Raises:
      UserError: there is no version, or the file cannot be read, or has to be written and cannot.
    """
    unread = 0.0
    to_delete: list[int] = []
    deleted: list[int] = []
    errors: list[OSError] = []

    def change(before: ServedModel | None) -> ServedModel | None:
        nonlocal unread
        apply.require_original(paths, before)
        found = inventory.require_versions(paths)
        after, chosen = labels.prune(apply.entry_or_first(paths, before, found), found, keep)
        unread = _unread(paths.config_path, read_seconds) if chosen else 0.0
        if unread:
            return None
        to_delete.extend(chosen)
        # Write only a policy that lists a deleted version: a full disk allows no writing.
        return after if before and before.policy != after.policy else None

    def delete() -> None:
        if unread:
            return
        errors.extend(versions.finish_deletions(paths.base))
        for version in to_delete:
            try:
                versions.delete(paths.base, version)
            except OSError as error:
                errors.append(error)
        left = versions.directories(paths.base)
        deleted.extend(version for version in to_delete if version not in left)

    # The file stops listing a version before its directory is renamed.
    model_config.update(paths.config_path, paths.name, change, delete)
    while unread:
        wait(unread)
        model_config.update(paths.config_path, paths.name, change, delete)
    return deleted, errors


def _wait(seconds: float) -> None:
    print("models.config has just changed; waiting until servers have read it", flush=True)
    time.sleep(seconds)


def _unread(path: str, read_seconds: float) -> float:
    """Return the seconds until servers have read the file; 0 if there is none."""
    try:
        age = time.time() - os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0
    return min(max(read_seconds - age, 0.0), read_seconds)  # clocks of machines that share the file differ
