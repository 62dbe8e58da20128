"""The options of `rollback`; shared/test_label_change.py and rollout/test_labels.py test its effect."""

import argparse

from serving.commands import rollback


def test_default_is_the_version_before() -> None:
    parser = argparse.ArgumentParser()
    rollback.add_arguments(parser)
    assert parser.parse_args([]).to is None
    assert parser.parse_args(["--to", "3"]).to == 3
