"""What an export says of itself beside its graph, for servers that want to know before they ask: `Limits` as JSON."""

import dataclasses
import json
import os
from dataclasses import dataclass

PLACE = os.path.join("assets.extra", "generation.json")
LARGEST_TEMPERATURE = 100.0  # of every export: above it a text is noise all the same


@dataclass(frozen=True)
class Limits:
    """How the model generates.

    Attributes:
      num_chars: characters that `serving_default` writes.
      temperature: of `serving_default`.
      top_k: of `serving_default`.
      max_chars: most characters one request may ask for.
      state_size: width of the state that `generate_from_state` takes.
    """

    num_chars: int
    temperature: float
    top_k: int
    max_chars: int
    state_size: int


def write(directory: str, limits: Limits) -> None:
    """Add the file to a SavedModel; the directory may be of any file system that `tf.io.gfile` knows."""
    from tensorflow.io import gfile

    path = os.path.join(directory, PLACE)
    gfile.makedirs(os.path.dirname(path))
    with gfile.GFile(path, "w") as file:
        file.write(json.dumps(dataclasses.asdict(limits), indent=2) + "\n")


def read(directory: str) -> Limits | None:
    """The limits of a SavedModel; None if it does not say, or not in a way that is understood."""
    from tensorflow.io import gfile

    path = os.path.join(directory, PLACE)
    if not gfile.exists(path):
        return None
    with gfile.GFile(path) as file:
        try:
            values = json.loads(file.read())
            temperature = values.pop("temperature")
            if not isinstance(temperature, (int, float)) or any(type(value) is not int for value in values.values()):
                return None
            return Limits(temperature=temperature, **values)
        except (AttributeError, KeyError, TypeError, ValueError):
            return None
