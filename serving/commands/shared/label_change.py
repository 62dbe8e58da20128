"""What `promote` and `rollback` share: options, the change itself, and saying what came of it."""

import argparse

from serving.client import status
from serving.commands.shared import config_options
from serving.rollout import apply, inventory, labels
from serving.rollout.inventory import Shelf
from serving.tf_serving.model_config import ServedModel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `--server-url` and the options that say which model."""
    parser.add_argument(
        "--server-url",
        metavar="URL",
        help="the server that must have loaded a version before it gets a label; "
        "default: serving.host and serving.rest_port on this machine, if one answers there",
    )
    config_options.add_arguments(parser)


def run(options: argparse.Namespace, change: apply.Change) -> int:
    """Apply a change and print what is served now."""
    config = config_options.load(options)
    shelf = Shelf.of(config)
    explicit = options.server_url is not None
    url = options.server_url if explicit else status.base_url(config.serving.host, config.serving.rest_port)
    entry = apply.apply(
        shelf, change, config.serving, url.rstrip("/"), lambda text: print(text, flush=True), must_answer=explicit
    )
    print(summary(entry, shelf))
    return 0


def summary(entry: ServedModel, shelf: Shelf) -> str:
    """One line: which version answers what."""
    versions = inventory.whole_versions(shelf.base)
    labeled = ", ".join(f"{label} is {version}" for label, version in sorted(entry.labels.items(), reverse=True))
    served = labels.allowed(entry.policy, versions)
    withdrawn = [version for version in versions if version not in served]
    text = f"{entry.name}: {labeled}; requests without a label reach {labels.reached(entry, versions)}"
    return text + (f"; not served: {', '.join(map(str, withdrawn))}" if withdrawn else "")
