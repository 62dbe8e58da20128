"""Cross-entropy of the reference model, a character trigram model, stored next to an export.

Training writes it; the Evaluator makes it the threshold "auto".
"""

import json
import math
import os

from components.evaluate import perplexity

PLACE = os.path.join("assets.extra", "reference.json")
_MARGIN = 1e-9  # TFMA's bounds are inclusive, and a model as good as the reference model is not better


def write(export: str, nats: float) -> None:
    """Add the file to a SavedModel.

    Args:
      nats: per character of the eval split.
    """
    from tensorflow.io import gfile

    path = os.path.join(export, PLACE)
    gfile.makedirs(os.path.dirname(path))
    with gfile.GFile(path, "w") as file:
        file.write(json.dumps({"trigram_nats": nats}) + "\n")


def read(export: str) -> float:
    """Read the nats per character from a SavedModel, which may be in a bucket.

    Raises:
      ValueError: the file is missing or malformed, or its figure is not finite: it would bless any model.
    """
    from tensorflow.io import gfile

    path = os.path.join(export, PLACE)
    if not gfile.exists(path):
        raise ValueError(f"The export does not state the cross-entropy of its reference model. Received: {path}")
    with gfile.GFile(path) as file:
        content = file.read()
    try:
        nats = float(json.loads(content)["trigram_nats"])
    except (LookupError, TypeError, ValueError):
        nats = math.nan
    if not math.isfinite(nats):
        raise ValueError(f"{path} should hold a finite trigram_nats. Received: {content[:100]!r}")
    return nats


def upper_bound(nats: float) -> float:
    """Return the highest perplexity that is better than the reference model's."""
    return perplexity.from_nats(nats) * (1 - _MARGIN)
