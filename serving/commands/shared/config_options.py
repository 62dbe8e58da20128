"""The options that say which lineage and which folders are meant, for every command as in `local_runner.py`."""

import argparse
from typing import Any

from pipeline.config import overrides
from pipeline.config.run import Config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `--model`, `--root`, `--serving-dir`, `--preset` and `--set`, with the meaning of `local_runner.py`."""
    group = parser.add_argument_group("which model")
    add = group.add_argument
    add("--model", metavar="NAME", help="lineage, and the name in requests; default char_rnn")
    add("--root", metavar="DIR", help="where the runs are kept; default output")
    add("--serving-dir", metavar="DIR", help="versions are in DIR/<model>/<version>; default <root>/serving")
    add("--preset", default="quick", metavar="NAME", help="the preset of the run; default quick")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="override a value of the configuration, for example serving.rest_port=9000; repeatable",
    )


def load(options: argparse.Namespace) -> Config:
    """The configuration that the options ask for.

    Raises:
      UserError: a value is not what it should be.
    """
    explicit: dict[str, Any] = {
        "model_name": options.model,
        "root": options.root,
        "serving_dir": options.serving_dir,
    }
    return overrides.load(options.preset, options.settings, explicit)
