"""The chosen values of a run: as a file, next to the checkpoints and in the run's artifact, and in one line."""

import json
import os
from collections.abc import Mapping
from typing import Any

from components import files

NAME = "choices.json"


def write(directory: str, chosen: Mapping[str, Any]) -> None:
    """Write value and reason of each key."""
    files.write(os.path.join(directory, NAME), json.dumps(chosen, indent=2) + "\n")


def read(directory: str) -> dict[str, Any]:
    """Read value and reason of each key from a directory on this machine; empty if it has none.

    Example: tests/trainer/plan/test_record.py.
    """
    try:
        with open(os.path.join(directory, NAME), encoding="utf-8") as file:
            return dict(json.load(file))
    except FileNotFoundError:
        return {}


def line(chosen: Mapping[str, Any]) -> str:
    """Return names and values, the number of steps first.

    >>> line({"training.initial_bias": {"value": "zero"}, "training.steps": {"value": 1480}})
    'steps 1,480, initial_bias zero'
    """
    keys = sorted(chosen, key="training.steps".__ne__)
    return ", ".join(f"{key.rpartition('.')[2]} {_shown(chosen[key]['value'])}" for key in keys)


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"
