"""The subcommands of `python -m serving`, one module each, imported only when it is asked for.

A module offers `add_arguments(parser)`, which declares its options, and `run(options)`, which returns the exit code. A
mistake of the user is a `components.errors.UserError`.
"""

import argparse
import importlib
from typing import Protocol, cast

# Each module of this folder that is a command, with the line that `--help` shows.
COMMANDS = {
    "up": "serve the newest version over REST",
    "generate": "write text after a prompt",
    "score": "measure how well a model foresees a text",
    "versions": "list the pushed versions",
    "promote": "give the label `stable` to a version",
    "rollback": "give the label `stable` back to the version before",
    "prune": "delete old versions that are not in use",
    "manifests": "write the files for Docker Compose, Kubernetes and TF Serving",
}


class Command(Protocol):
    """What a module of this folder offers."""

    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's options."""

    def run(self, options: argparse.Namespace) -> int:
        """Do the work and return the exit code."""


def find(name: str) -> Command:
    """Import the command of this name."""
    return cast(Command, importlib.import_module(f"serving.commands.{name}"))
