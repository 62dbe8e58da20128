"""Commands: one module for each subcommand of `python -m pipeline`, imported by name when it is used.

Imports `components`, `pipeline.config`, `pipeline.metadata_store` and `pipeline.runs`.
"""

import importlib
from types import ModuleType

# Name of the module and its line in `--help`.
COMMANDS = {
    "runs": "list the runs of a root with their decisions",
    "notebook": "write a notebook with the views of TFDV and TFMA on the artifacts of a run",
    "clean": "delete artifacts, checkpoints and exports that the newest runs do not need",
}


def find(name: str) -> ModuleType:
    """Import the command of this name.

    Its module defines `add_arguments(parser)` and `run(arguments)`, which returns the exit code or raises `UserError`.
    """
    return importlib.import_module(f"pipeline.commands.{name}")
