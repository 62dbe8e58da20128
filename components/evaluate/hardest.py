"""The passages of the eval split that the model predicts worst, with the loss of each character, for the report.

The Evaluator finds them while TFMA measures all passages, and writes them next to its figures.
"""

import json
import os
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components import files

NAME = "hardest_passages.json"
# Directory of the evaluation that TFMA's steps are built for: TFX passes it to none of them.
DESTINATION: ContextVar[str] = ContextVar("destination")
COUNT = 3
CHARS = 400  # of a passage that are shown


@dataclass(frozen=True)
class Passage:
    """The hardest part of a passage.

    Attributes:
      document: its name.
      position: of the part's first character in the document.
      text: of the part.
      nats: loss of each of its characters.
    """

    document: str
    position: int
    text: str
    nats: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Nats per character."""
        return sum(self.nats) / max(1, len(self.nats))


def part(document: str, position: int, text: str, nats: NDArray[np.floating]) -> Passage:
    """Cut the hardest part out of a passage.

    >>> part("a.txt", 100, "abcd", np.array([1.0, 3.0, 2.0]))
    Passage(document='a.txt', position=101, text='bcd', nats=(1.0, 3.0, 2.0))

    Args:
      position: of the passage in the document.
      nats: loss of each character but the first, (characters - 1,); longer arrays are padded.
    """
    nats = np.asarray(nats[: len(text) - 1], np.float64)
    size = min(CHARS, len(nats))
    sums = np.cumsum(np.concatenate([[0.0], nats]))
    start = int(np.argmax(sums[size:] - sums[: len(sums) - size]))
    shown = tuple(round(float(one), 3) for one in nats[start : start + size])
    return Passage(document, position + start + 1, text[start + 1 : start + 1 + size], shown)


def write(evaluation: str, passages: list[Passage]) -> None:
    """Write the file into the directory of a ModelEvaluation artifact."""
    content = json.dumps([asdict(one) for one in passages], ensure_ascii=False)
    files.write(os.path.join(evaluation, NAME), content + "\n")


def read(evaluation: str) -> list[Passage]:
    """Read the passages from such a directory, the hardest first; none if it has none, as those of earlier releases.

    Example: tests/components/evaluate/test_hardest.py.
    """
    from tensorflow.io import gfile

    path = os.path.join(evaluation, NAME)
    if not gfile.exists(path):
        return []
    with gfile.GFile(path) as file:
        content: list[dict[str, Any]] = json.loads(file.read())
    return [Passage(**{**one, "nats": tuple(one["nats"])}) for one in content]
