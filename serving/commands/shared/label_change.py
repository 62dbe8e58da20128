"""What `promote` and `rollback` share: their options, applying the change, and the summary."""

import argparse
import signal

from components import startup
from components.models import versions
from serving.access import outgoing
from serving.commands.shared import config_options
from serving.rollout import labels
from serving.rollout.apply import Change, apply
from serving.rollout.inventory import ModelPaths
from serving.tf_serving.model_config import ServedModel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `--server-url` and the options that choose the model."""
    parser.add_argument(
        "--server-url",
        metavar="URL",
        help="the server that must have loaded a version before it gets a label; "
        "default: serving.host and serving.rest_port on this machine, if a server responds there",
    )
    config_options.add_access_arguments(parser.add_argument)
    config_options.add_arguments(parser)


def run(arguments: argparse.Namespace, change: Change) -> int:
    """Apply a change and print what is served then."""
    config = config_options.load(arguments)
    paths = ModelPaths.of(config)
    explicit = arguments.server_url is not None
    url = arguments.server_url if explicit else outgoing.base_url(config.serving)
    # SIGTERM and SIGHUP end the wait as Ctrl-C does, so that a version that is not promoted is withdrawn again.
    with startup.handling(startup.not_ignored(signal.SIGTERM, signal.SIGHUP), signal.default_int_handler):
        entry = apply(paths, change, config.serving, url, lambda text: print(text, flush=True), must_answer=explicit)
    print(summary(entry, paths))
    return 0


def summary(entry: ServedModel, paths: ModelPaths) -> str:
    """Describe in one line which version responds to which requests."""
    found = versions.complete(paths.base)
    labeled = ", ".join(f"{label} is {version}" for label, version in sorted(entry.labels.items(), reverse=True))
    served = labels.allowed(entry.policy, found)
    withdrawn = [version for version in found if version not in served]
    text = f"{entry.name}: {labeled}; requests without a label use {labels.default_version(entry, found)}"
    return text + (f"; not served: {labels.listed(withdrawn)}" if withdrawn else "")
