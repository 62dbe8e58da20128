"""Only models of other data are used, weights are matched by character, and a mismatch is reported with its reason."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.models import registry, versions
from components.models.registry import Entry
from serving.graph.cells import KINDS
from serving.graph.one_step import Defaults
from trainer import export, warm_start
from trainer.model import LanguageModel
from trainer.warm_start import SourceModel
from transform.vocabulary import Vocabulary

pytestmark = pytest.mark.integration

OLD, NEW = Vocabulary(tuple(map(ord, "ea\nt"))), Vocabulary(tuple(map(ord, "taeé")))
DEFAULTS = Defaults(num_chars=7, temperature=0.5, top_k=3, max_chars=50)


def create(vocabulary: Vocabulary, seed: int, **sizes: Any) -> LanguageModel:
    model = LanguageModel(vocabulary.size, **{"embedding": 3, "units": 4, "layers": 2, **sizes}, seed=seed)
    random = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(random.normal(size=variable.shape))
    return model


def exported(model: LanguageModel, directory: Path, complete: bool = False, **values: Any) -> SourceModel:
    """Write an export; if not complete, without its signatures, which nothing here reads and which take seconds."""
    one_step = export.one_step(model, OLD, dataclasses.replace(DEFAULTS, **values))
    if complete:
        export.save(one_step, str(directory), "char_rnn", 1.5)
    else:
        tf.saved_model.save(one_step, str(directory))
    return SourceModel(str(directory), 1, "digest")


def entry(version: int, model: Path) -> Entry:
    digest = versions.digest(str(model))
    return Entry(version, digest, f"key {version}", str(model), "", 4.0, 2.0, "a play", "2026-01-01T00:00:00+00:00")


@pytest.mark.parametrize("cell", list(KINDS))
def test_characters_are_matched_by_code_point_and_other_weights_are_copied(cell: str, tmp_path: Path) -> None:
    source, model, untouched = create(OLD, 1, cell=cell), create(NEW, 2, cell=cell), create(NEW, 2, cell=cell)
    assert warm_start.apply(model, NEW, exported(source, tmp_path / "model", complete=cell == "gru")) is None
    rows = {NEW.encode(c)[0]: OLD.encode(c)[0] for c in "tae"} | {NEW.out_of_vocabulary: OLD.out_of_vocabulary}
    for new, old in rows.items():
        np.testing.assert_array_equal(model.embedding.embeddings[new], source.embedding.embeddings[old])
        np.testing.assert_array_equal(model.projection.kernel[:, new], source.projection.kernel[:, old])
        assert model.projection.bias[new] == source.projection.bias[old]
    unseen = NEW.encode("é")[0]
    np.testing.assert_array_equal(model.embedding.embeddings[unseen], untouched.embedding.embeddings[unseen])
    np.testing.assert_array_equal(model.projection.kernel[:, unseen], untouched.projection.kernel[:, unseen])
    for layer, old_layer in zip(model.recurrent, source.recurrent, strict=True):
        for variable, old_variable in zip(layer.trainable_variables, old_layer.trainable_variables, strict=True):
            np.testing.assert_array_equal(variable, old_variable)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"layers": 1}, "has 2 layers and not 1"),
        ({"layers": 3}, "has 2 layers and not 3"),
        ({"units": 5}, "has shape"),
        ({"embedding": 2}, "has shape"),
        ({"cell": "lstm"}, "has shape"),
    ],
)
def test_other_architecture_is_a_mismatch_and_leaves_the_model_unchanged(
    sizes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    model = create(NEW, 2, **sizes)
    before = [variable.numpy() for variable in model.trainable_variables]
    assert words in (warm_start.apply(model, NEW, exported(create(OLD, 1), tmp_path / "model")) or "")
    for variable, value in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("source_tied", [False, True])
def test_tied_model_starts_from_a_tied_one_only(source_tied: bool, precision: str, tmp_path: Path) -> None:
    source, model = create(OLD, 1, embedding=4, tied=source_tied), create(NEW, 2, embedding=4, tied=True)
    before = [variable.numpy() for variable in model.weights_to_train]
    mismatch = warm_start.apply(model, NEW, exported(source, tmp_path / "model", precision=precision))
    assert mismatch == (None if source_tied else "its output was not tied to its embedding")
    if source_tied:
        new, old = ([vocabulary.encode(c)[0] for c in "tae"] for vocabulary in (NEW, OLD))
        pairs = [(tf.gather(m.embedding.embeddings, rows) for m, rows in ((model, new), (source, old)))]
        pairs += [(m.recurrent[1].cell.recurrent_kernel for m in (model, source))]
        for one, other in pairs:
            np.testing.assert_allclose(one, other, rtol=2**-8 if precision == "bfloat16" else 0)
    else:
        for variable, value in zip(model.weights_to_train, before, strict=True):
            np.testing.assert_array_equal(variable, value)


def test_newest_model_of_other_data_is_the_source(tmp_path: Path) -> None:
    for version, data in enumerate(["first", "second", "third"], 1):
        (tmp_path / f"{version}").mkdir()
        (tmp_path / f"{version}" / "saved_model.pb").touch()
        warm_start.describe(str(tmp_path / f"{version}"), data)
        registry.record(str(tmp_path / "registry"), entry(version, tmp_path / f"{version}"))

    def found(data: str) -> int:
        source = warm_start.initial_model(str(tmp_path / "registry"), data)
        return source.version if source else 0

    assert (found("fourth"), found("third"), found("second")) == (3, 2, 3)
    assert warm_start.initial_model(str(tmp_path / "nowhere"), "first") is None


def test_model_without_a_data_digest_is_not_a_source(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").touch()
    registry.record(str(tmp_path / "registry"), entry(1, tmp_path / "1"))
    assert warm_start.initial_model(str(tmp_path / "registry"), "any") is None
    (tmp_path / "1" / warm_start.PLACE).parent.mkdir()
    (tmp_path / "1" / warm_start.PLACE).write_text("{")
    registry.record(str(tmp_path / "registry"), entry(1, tmp_path / "1"))
    assert warm_start.initial_model(str(tmp_path / "registry"), "any") is None
