"""Give a label to a version: `stable` to the newest one, unless said otherwise.

Requests to .../labels/stable:predict then reach it. The canary goes along if it would stay behind. A version that a
rollback withdrew is served again; promoting the newest ends the rollback.
"""

import argparse
from functools import partial

from serving.commands.shared import label_change
from serving.rollout import labels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("version", nargs="?", type=int, metavar="VERSION", help="default: the newest whole one")
    parser.add_argument("--label", choices=labels.LABELS, default=labels.STABLE, help="default: %(default)s")
    label_change.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Move the label and say what is served now."""
    return label_change.run(options, partial(labels.promote, version=options.version, label=options.label))
