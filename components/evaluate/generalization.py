"""How far a model generalizes: the gap between its losses, and how much of its text is copied from the training text.

Training measures it and stores it next to the export; the Evaluator and the reports read it.
"""

import json
import os
from dataclasses import asdict, dataclass
from typing import Any

PLACE = os.path.join("assets.extra", "generalization.json")
SPANS = (20, 50, 100)  # characters of the spans whose copies are counted
BOUNDED_SPAN = 50  # the one that `evaluation.max_copied` bounds
COPIED = "copied"  # name of that share as a metric


@dataclass(frozen=True)
class Generalization:
    """Figures of one export.

    Attributes:
      train_nats, eval_nats: loss per character without dropout, of a part of the train split as long as the eval split
        and of the eval split, both with the state carried through the text.
      generated_chars: characters that the model generated for the figures below, at temperature 1.
      copied: share of their spans of 20, 50, and 100 characters that occur in the training text; None if no generated
        document has so many characters.
      longest_copy: the longest part of them that occurs in the training text.
      copied_from: name of a document that contains it.
      generated_documents: complete documents among them; 0 if documents are files, which have no end to generate.
      copied_documents: share of these documents that are documents of the training text; None without documents.
    """

    train_nats: float
    eval_nats: float
    generated_chars: int
    copied: dict[int, float | None]
    longest_copy: str
    copied_from: str
    generated_documents: int = 0
    copied_documents: float | None = None

    @property
    def bounded(self) -> float:
        """The share that `evaluation.max_copied` bounds; 0 if there are no such spans."""
        return self.copied[BOUNDED_SPAN] or 0.0

    @property
    def metrics(self) -> dict[str, float | None]:
        """The figures that are numbers, by name, for the user interface of a cluster."""
        spans = {f"copied_{span}": share for span, share in self.copied.items()}
        longest = {"longest_copy_chars": len(self.longest_copy), "copied_documents": self.copied_documents}
        return {"train_nats": self.train_nats, "eval_nats": self.eval_nats, **spans, **longest}


def write(export: str, measured: Generalization) -> None:
    """Add the file to a SavedModel."""
    from tensorflow.io import gfile

    path = os.path.join(export, PLACE)
    gfile.makedirs(os.path.dirname(path))
    with gfile.GFile(path, "w") as file:
        file.write(json.dumps(asdict(measured), indent=2) + "\n")


def read(export: str) -> Generalization | None:
    """Read the figures from a SavedModel, which may be in a bucket; None if it does not state them.

    Example: tests/components/evaluate/test_generalization.py.
    """
    from tensorflow.io import gfile

    path = os.path.join(export, PLACE)
    if not gfile.exists(path):
        return None
    with gfile.GFile(path) as file:
        content: dict[str, Any] = json.loads(file.read())
    content["copied"] = {int(span): share for span, share in content["copied"].items()}
    return Generalization(**content)
