"""The options of `promote`; shared/test_label_change.py and rollout/test_labels.py test its effect."""

import argparse

import pytest

from serving.commands import promote


def parsed(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    promote.add_arguments(parser)
    return parser.parse_args(argv)


def test_default_is_stable_on_the_newest_version() -> None:
    options = parsed()
    assert (options.version, options.label) == (None, "stable")
    options = parsed("12", "--label", "canary")
    assert (options.version, options.label) == (12, "canary")


@pytest.mark.parametrize("argv", [["newest"], ["--label", "best"]])
def test_invalid_values_are_rejected(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        parsed(*argv)
    assert refused.value.code == 2
