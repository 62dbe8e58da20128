"""Delete the oldest versions, so that the newest N are left.

Never deleted: a version with a label, the one that requests without a label reach, and any above `stable`.
"""

import argparse

from components.errors import UserError
from serving.commands.shared import config_options
from serving.rollout import apply, inventory, labels
from serving.rollout.inventory import Shelf
from serving.tf_serving import model_config
from serving.tf_serving.model_config import ServedModel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--keep", type=int, required=True, metavar="N", help="so many of the newest are kept")
    config_options.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Delete and say what was deleted."""
    if options.keep < 1:
        raise UserError(f"At least one version is kept. Received: --keep {options.keep}")
    shelf = Shelf.of(config_options.load(options))
    inventory.require_versions(shelf)
    doomed: list[int] = []
    failures: list[OSError] = []

    def change(before: ServedModel | None) -> ServedModel | None:
        apply.require_here(shelf, before)
        versions = inventory.require_versions(shelf)
        after, deleted = labels.prune(apply.entry_of(shelf, before, versions), versions, options.keep)
        doomed.extend(deleted)
        # Only a policy that names what is deleted has to be written: on a full disk nothing can be.
        return after if before and before.policy != after.policy else None

    # Within the lock, so that no label moves to a version that is being deleted; each loses its number after the file
    # has stopped naming it.
    model_config.update(shelf.config_path, shelf.name, change, lambda: failures.extend(_delete(shelf, doomed)))
    left = inventory.whole_versions(shelf.base)
    deleted = [version for version in doomed if version not in left]
    print(f"deleted: {_listed(deleted) if deleted else 'nothing'}; left: {_listed(left)}", flush=True)
    if failures:
        raise UserError(
            "Not all files could be deleted; no server looks at those of a deleted version, but they take room. Mend "
            "their permissions or delete them as their owner, and prune again. Received: "
            + "; ".join(f"{error.filename}: {error.strerror}" for error in failures)
        )
    return 0


def _delete(shelf: Shelf, versions: list[int]) -> list[OSError]:
    failures = inventory.remove_leftovers(shelf.base)
    for version in versions:
        try:
            inventory.delete(shelf.base, version)
        except OSError as error:
            failures.append(error)
    return failures


def _listed(versions: list[int]) -> str:
    return ", ".join(map(str, versions))
