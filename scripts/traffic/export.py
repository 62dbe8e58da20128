"""Write small exports with random weights: the graph of the pipeline, and the files next to it."""

import numpy as np

from scripts.traffic import CHARACTERS, MODEL
from serving.graph import generation_config, signatures, warmup
from serving.graph.one_step import Defaults, OneStep, Weights
from transform.vocabulary import Vocabulary

_UNITS = 32
_DEFAULTS = Defaults(num_chars=40, temperature=0.9, top_k=0, max_chars=1_000, max_score_chars=20_000)


def write(directory: str, seed: int) -> None:
    """Write the export whose weights belong to a seed."""
    random = np.random.default_rng(seed)

    def normal(scale: float, *shape: int) -> np.ndarray:
        return np.asarray(random.normal(0.0, scale, shape), np.float32)

    size = len(CHARACTERS) + 1
    layer = (normal(1.0, 8, 3 * _UNITS), normal(0.2, _UNITS, 3 * _UNITS), normal(0.1, 2, 3 * _UNITS))
    weights = Weights(normal(1.0, size, 8), [layer], normal(0.5, _UNITS, size), normal(0.1, size))
    model = OneStep(weights, Vocabulary(tuple(map(ord, CHARACTERS))), _DEFAULTS)
    signatures.save(model, directory)
    warmup.write(directory, MODEL, model.state_size)
    generation_config.write(directory, model.limits)
