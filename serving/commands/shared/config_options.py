"""The options that choose a model and its directories: the same in every command as in `local_runner.py`."""

import argparse
from collections.abc import Callable
from typing import Any

from pipeline.config import overrides
from pipeline.config.places import Places
from pipeline.config.run import Config

# Options of single commands that stand for a value of the configuration.
_SHORT = {
    "api_key_file": "serving.access.api_key_file",
    "tls_cert": "serving.access.tls_cert",
    "tls_key": "serving.access.tls_key",
    "request_log": "serving.request_log.file",
    "host": "serving.host",
    "port": "serving.rest_port",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `--model`, `--root`, `--serving-dir`, `--preset` and `--set`."""
    group = parser.add_argument_group("which model")
    add = group.add_argument
    add("--model", metavar="NAME", help="lineage, and the name in requests; default char_rnn")
    add("--root", metavar="DIR", help="directory of the runs; default output")
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


def add_access_arguments(add: Callable[..., Any]) -> None:
    """Declare `--api-key-file` and `--tls-cert`; `add` is a parser's or a group's `add_argument`."""
    add(
        "--api-key-file",
        metavar="FILE",
        help="API keys, one a line: servers require one of them, commands send the first",
    )
    add("--tls-cert", metavar="FILE", help="the server's certificate, PEM: commands accept exactly this one")


def load(arguments: argparse.Namespace) -> Config:
    """Build the configuration from these options.

    Raises:
      UserError: a value is invalid, or the model's directory is another one's.
    """
    explicit: dict[str, Any] = {
        "model_name": arguments.model,
        "root": arguments.root,
        "serving_dir": arguments.serving_dir,
    }
    for option, key in _SHORT.items():
        if (value := getattr(arguments, option, None)) is not None:
            explicit[key] = value
    config = overrides.load(arguments.preset, arguments.settings, explicit)
    Places(config).check_names()
    return config
