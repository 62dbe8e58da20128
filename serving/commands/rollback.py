"""Move `stable` back to the version before it and withdraw all versions above, at once and for every request.

Deletes nothing. Models that are pushed later are not served until one is promoted.
"""

import argparse
from collections.abc import Sequence

from serving.commands.shared import label_change
from serving.rollout import labels
from serving.rollout.apply import Change
from serving.tf_serving.model_config import ServedModel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `rollback`."""
    parser.add_argument("--to", type=int, metavar="VERSION", help="default: the complete version below `stable`")
    label_change.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Withdraw the versions and print what is served."""
    return label_change.run(arguments, change(arguments.to))


def change(to: int | None) -> Change:
    """Make the change. Without `to`, its first call decides the version, and later calls keep that.

    So two operators who roll back at the same time go back by one version, not by two.
    """
    decided = to

    def rollback(model: ServedModel, versions: Sequence[int]) -> ServedModel:
        nonlocal decided
        after = labels.rollback(model, versions, decided)
        decided = after.labels[labels.STABLE]
        return after

    return rollback
