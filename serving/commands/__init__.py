"""Commands: one module for each subcommand of `python -m serving`, imported by name when it is used.

Imports `components`, `pipeline.config`, `serving.access`, `serving.bulk`, `serving.client`, `serving.graph`,
`serving.launcher`, `serving.manifests`, `serving.rollout`, `serving.tf_serving`. Commands do not import each other.
"""

import importlib
from types import ModuleType

# Name of the module and its line in `--help`.
COMMANDS = {
    "up": "serve the pushed versions over REST",
    "generate": "generate text after a prompt",
    "bulk": "generate or score the lines of a file, resumable",
    "score": "measure the log-likelihood of a text under a model",
    "skew": "compare the prompts of a request log with the training text",
    "versions": "list the pushed versions",
    "promote": "move the label `stable` to a version",
    "rollback": "move the label `stable` back to the version before",
    "prune": "delete old versions that are not in use",
    "manifests": "write the files for Docker Compose, Kubernetes and TF Serving",
}


def find(name: str) -> ModuleType:
    """Import the command of this name.

    Its module defines `add_arguments(parser)` and `run(arguments)`, which returns the exit code or raises `UserError`.
    """
    return importlib.import_module(f"serving.commands.{name}")
