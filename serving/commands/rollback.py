"""Put `stable` back to the version before it and withdraw everything above, at once and for every request.

Nothing is deleted. Models that are pushed afterwards wait until one is promoted.
"""

import argparse
from functools import partial

from serving.commands.shared import label_change
from serving.rollout import labels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--to", type=int, metavar="VERSION", help="default: the whole version below `stable`")
    label_change.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Withdraw the versions and say what is served now."""
    return label_change.run(options, partial(labels.rollback, to=options.to))
