"""The original of an artifact's SavedModel is found while it exists and is the same model."""

from pathlib import Path

import pytest

from components.models import original, versions

pytestmark = pytest.mark.integration


def model_at(path: Path, content: str = "graph") -> str:
    path.mkdir(parents=True, exist_ok=True)
    (path / "saved_model.pb").write_text(content)
    return str(path)


@pytest.mark.parametrize("end", ["", "/"])
def test_original_is_found(tmp_path: Path, end: str) -> None:
    model, exported = model_at(tmp_path / "artifact" / "model"), model_at(tmp_path / "exported")
    digest = versions.digest(model)
    assert original.of(model, digest) == model
    original.note(model + end, exported)
    assert original.of(model, digest) == exported
    assert versions.digest(model) == digest, "the note is not in the model"


def test_artifact_is_its_own_original_after_the_export_was_deleted_or_replaced(tmp_path: Path) -> None:
    model, exported = model_at(tmp_path / "artifact" / "model"), model_at(tmp_path / "exported")
    original.note(model, exported)
    model_at(tmp_path / "exported", "another model")
    assert original.of(model, versions.digest(model)) == model
    (tmp_path / "exported" / "saved_model.pb").unlink()
    assert original.of(model, versions.digest(model)) == model
