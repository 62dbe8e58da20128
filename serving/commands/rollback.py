"""Move `stable` back to the version before it and withdraw all versions above, at once and for every request.

Deletes nothing. Models that are pushed later are not served until one is promoted.
"""

import argparse
from functools import partial

from serving.commands.shared import label_change
from serving.rollout import labels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `rollback`."""
    parser.add_argument("--to", type=int, metavar="VERSION", help="default: the complete version below `stable`")
    label_change.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Withdraw the versions and print what is served."""
    return label_change.run(arguments, partial(labels.rollback, to=arguments.to))
