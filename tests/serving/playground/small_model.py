"""Write a real export with random weights: `python -m tests.serving.playground.small_model DIRECTORY`.

Its characters take one to four bytes of UTF-8. The model is large enough that a test can stop it while it generates.
"""

import sys

import numpy as np

from serving.graph import generation_config, signatures, warmup
from serving.graph.one_step import Defaults, OneStep, Weights
from transform.vocabulary import Vocabulary

CHARACTERS = " \netaoinshrdluTE.,é語😀"
UNITS = 96
DEFAULTS = Defaults(num_chars=120, temperature=0.9, top_k=0, max_chars=50_000, max_temperature=50.0)


def main(directory: str) -> None:
    random = np.random.default_rng(3)
    size = len(CHARACTERS) + 1

    def normal(scale: float, *shape: int) -> np.ndarray:
        return np.asarray(random.normal(0.0, scale, shape), np.float32)

    layer = (normal(1.0, 8, 3 * UNITS), normal(0.1, UNITS, 3 * UNITS), normal(0.1, 2, 3 * UNITS))
    weights = Weights(normal(1.0, size, 8), [layer], normal(0.4, UNITS, size), normal(0.1, size))
    model = OneStep(weights, Vocabulary(tuple(map(ord, CHARACTERS))), DEFAULTS)
    signatures.save(model, directory)
    warmup.write(directory, "small", model.state_size)
    generation_config.write(directory, model.limits)


if __name__ == "__main__":
    main(sys.argv[1])
