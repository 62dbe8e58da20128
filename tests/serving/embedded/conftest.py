"""One tiny export for all tests, with warm-up file and limits, written by the trainer's export module."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ALPHABET = " etaéo\nTh"


@pytest.fixture(scope="session")
def exported() -> tuple[SimpleNamespace, str]:
    """The export's weights and characters, as `tests.gru` takes them."""
    random = np.random.default_rng(3)

    def normal(*shape: int) -> np.ndarray:
        return random.standard_normal(shape).astype(np.float32)

    ids, units = len(ALPHABET) + 1, 4
    gru = [(normal(3, 3 * units), normal(units, 3 * units), normal(2, 3 * units))]
    weights = SimpleNamespace(embedding=normal(ids, 3), layers=gru)
    weights.projection, weights.projection_bias = normal(units, ids), normal(ids)
    return weights, ALPHABET


@pytest.fixture(scope="session")
def export_dir(exported: tuple[SimpleNamespace, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    from serving.graph.one_step import Defaults, OneStep, Weights
    from trainer import export
    from transform.vocabulary import Vocabulary

    weights = Weights(**vars(exported[0]))
    defaults = Defaults(40, 0.8, 0, 5_000, max_temperature=20.0, max_score_chars=2_000)
    model = OneStep(weights, Vocabulary(tuple(map(ord, ALPHABET))), defaults)
    directory = tmp_path_factory.mktemp("export") / "model"
    export.save(model, str(directory), "char_rnn", 1.5)
    return directory
