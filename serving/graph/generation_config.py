"""Generation limits and defaults stored next to the SavedModel as JSON; servers read them without running the graph."""

import dataclasses
import json
import os
from dataclasses import dataclass
from typing import get_args

PLACE = os.path.join("assets.extra", "generation.json")
MAX_PENALTY = 10.0  # of repetition
WINDOW = 64  # characters that `sample` knows of the text before, and most of a stop string


@dataclass(frozen=True)
class Limits:
    """Limits and defaults of one export.

    Attributes:
      num_chars: characters that `serving_default` generates.
      temperature: of `serving_default`.
      top_k: of `serving_default`.
      max_chars: upper bound of a request's `num_chars`.
      state_size: width of the state that `generate_from_state` takes.
      max_temperature: upper bound of a request's temperature; the default is that of exports that do not state one.
      max_score_chars: upper bound of a `score` request: number of texts times characters of the longest; 0 in older
        exports, which have no bound.
      max_batch_chars: upper bound of a request that generates: number of rows times the greatest `num_chars`, if that
        is above `max_chars`, and number of prompts times characters of the longest; 0 in older exports: no bound.
      normalization: Unicode normalization form in which the graph reads texts, `nfc`; None: as they are.
      fold_case: whether the graph folds the case of texts.
    """

    num_chars: int
    temperature: float
    top_k: int
    max_chars: int
    state_size: int
    max_temperature: float = 100.0
    max_score_chars: int = 0
    max_batch_chars: int = 0
    normalization: str | None = None
    fold_case: bool = False


def write(directory: str, limits: Limits) -> None:
    """Add the file to a SavedModel; the directory may be of any file system that `tf.io.gfile` knows."""
    from tensorflow.io import gfile

    path = os.path.join(directory, PLACE)
    gfile.makedirs(os.path.dirname(path))
    with gfile.GFile(path, "w") as file:
        file.write(json.dumps(dataclasses.asdict(limits), indent=2) + "\n")


def read(directory: str) -> Limits | None:
    """Read the limits of a SavedModel; None if the file is missing or malformed.

    Fields that a newer version of this project adds are ignored.
    """
    from tensorflow.io import gfile

    types = {
        field.name: (int, float) if field.type is float else get_args(field.type) or (field.type,)
        for field in dataclasses.fields(Limits)
    }
    path = os.path.join(directory, PLACE)
    if not gfile.exists(path):
        return None
    with gfile.GFile(path) as file:
        try:
            values = dict(json.loads(file.read()))
            limits = Limits(**{name: values[name] for name in types.keys() & values.keys()})
        except (TypeError, ValueError):
            return None
    return limits if all(type(getattr(limits, name)) in allowed for name, allowed in types.items()) else None
