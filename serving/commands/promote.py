"""Move a label to a version; by default `stable` to the newest one.

Requests to .../labels/stable:predict then use it. When `stable` moves up past `canary`, `canary` moves with it. A
version that a rollback withdrew is served again; promoting the newest one ends the rollback.
"""

import argparse
from functools import partial

from serving.commands.shared import label_change
from serving.rollout import labels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `promote`."""
    parser.add_argument("version", nargs="?", type=int, metavar="VERSION", help="default: the newest complete one")
    parser.add_argument("--label", choices=labels.LABELS, default=labels.STABLE, help="default: %(default)s")
    label_change.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Move the label and print what is served."""
    return label_change.run(arguments, partial(labels.promote, version=arguments.version, label=arguments.label))
