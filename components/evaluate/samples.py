"""Texts of an exported model at several temperatures, stored next to the export for reports and model cards."""

import json
import os

PLACE = os.path.join("assets.extra", "samples.json")
TEMPERATURES = (0.5, 0.8, 1.0)
CHARS = 400  # of a sample, at most
SEED = 42


def write(export: str, texts: dict[float, str]) -> None:
    """Add the file to a SavedModel.

    Args:
      texts: by temperature.
    """
    from tensorflow.io import gfile

    path = os.path.join(export, PLACE)
    gfile.makedirs(os.path.dirname(path))
    with gfile.GFile(path, "w") as file:
        file.write(json.dumps({f"{temperature:g}": text for temperature, text in texts.items()}, indent=2) + "\n")


def read(export: str) -> dict[float, str]:
    """Read the texts from a SavedModel, which may be in a bucket; none if it has none.

    Example: tests/components/evaluate/test_samples.py.
    """
    from tensorflow.io import gfile

    path = os.path.join(export, PLACE)
    if not gfile.exists(path):
        return {}
    with gfile.GFile(path) as file:
        return {float(temperature): text for temperature, text in json.loads(file.read()).items()}
