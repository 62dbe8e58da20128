"""What a training states about itself for reports and model cards: its cost, its network, and the characters it read.

It is next to the checkpoints, so that an interrupted training adds to it, and in the run's ModelRun artifact.
"""

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from components import files

NAME = "training.json"


@dataclass(frozen=True)
class Training:
    """Facts of one training. Example: tests/components/models/test_training.py.

    Attributes:
      seconds: it took, evaluations included, without attempts that were killed.
      cpu_seconds: of all threads of the process that writes the results.
      steps: optimizer steps; 0 until it has finished, like all that follow.
      network: cell, layers and units.
      parameters: number of trained values.
      hardware: devices and precision.
      frequencies: occurrences in the train split of each character of the vocabulary, most frequent first.
      unknown: occurrences of all other characters.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    steps: int = 0
    network: str = ""
    parameters: int = 0
    hardware: str = ""
    frequencies: dict[str, int] = field(default_factory=dict)
    unknown: int = 0


@contextlib.contextmanager
def timed(directory: str) -> Iterator[None]:
    """Add the time of the block to that of earlier attempts in the same directory, also if the block fails."""
    seconds, cpu_seconds = time.monotonic(), time.process_time()
    before = read(directory) or Training()
    try:
        yield
    finally:
        seconds = round(before.seconds + time.monotonic() - seconds, 1)
        cpu_seconds = round(before.cpu_seconds + time.process_time() - cpu_seconds, 1)
        _write(directory, dataclasses.replace(before, seconds=seconds, cpu_seconds=cpu_seconds))


def describe(directory: str, **facts: Any) -> None:
    """Write the facts of a finished training next to its time."""
    _write(directory, dataclasses.replace(read(directory) or Training(), **facts))


def read(directory: str) -> Training | None:
    """Read the facts from a directory, which may be in a bucket; None if it has none, as those of earlier releases."""
    from tensorflow.io import gfile

    path = os.path.join(directory, NAME)
    if not gfile.exists(path):
        return None
    with gfile.GFile(path) as file:
        content: dict[str, Any] = json.loads(file.read())
    known = {one.name for one in dataclasses.fields(Training)}
    return Training(**{name: value for name, value in content.items() if name in known})


def _write(directory: str, facts: Training) -> None:
    from tensorflow.io import gfile

    gfile.makedirs(directory)
    files.write(os.path.join(directory, NAME), json.dumps(dataclasses.asdict(facts), ensure_ascii=False) + "\n")
