"""The options of `promote`; what it does is in shared/test_label_change.py and rollout/test_labels.py."""

import argparse

import pytest

from serving.commands import promote


def parsed(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    promote.add_arguments(parser)
    return parser.parse_args(argv)


def test_the_newest_becomes_stable_unless_said_otherwise() -> None:
    options = parsed()
    assert (options.version, options.label) == (None, "stable")
    options = parsed("12", "--label", "canary")
    assert (options.version, options.label) == (12, "canary")


@pytest.mark.parametrize("argv", [["newest"], ["--label", "best"]])
def test_other_values_are_refused(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        parsed(*argv)
    assert refused.value.code == 2
