"""The options of `rollback`; what it does is in shared/test_label_change.py and rollout/test_labels.py."""

import argparse

from serving.commands import rollback


def test_the_version_before_is_the_default() -> None:
    parser = argparse.ArgumentParser()
    rollback.add_arguments(parser)
    assert parser.parse_args([]).to is None
    assert parser.parse_args(["--to", "3"]).to == 3
