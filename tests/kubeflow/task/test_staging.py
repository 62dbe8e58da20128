"""Staging in the run: directories named after the content, and explained errors. Buckets are not tested."""

from pathlib import Path
from typing import Any

import pytest

from components.errors import UserError
from kubeflow.task.staging import stage

pytestmark = pytest.mark.integration

CUTTING = {"passage_length": 500.0, "eval_fraction": 0.1, "test_fraction": 0.0}


def settings(directory: Path) -> dict[str, Any]:
    return {"directory": str(directory), "checksum": None, "min_chars": 1000}


def staged(source: str, tmp_path: Path, name: str) -> Path:
    workspace = tmp_path / name
    workspace.mkdir()
    return Path(stage(source, settings(tmp_path / "state" / "corpus"), CUTTING, workspace))


def test_same_content_has_the_same_directory_and_changed_content_another(tmp_path: Path) -> None:
    text = tmp_path / "book.txt"
    text.write_text("Some words to learn from.\n" * 100)
    first = staged(str(text), tmp_path, "1")
    assert first.parent == tmp_path / "state" / "corpus"
    assert staged(str(text), tmp_path, "2") == first
    text.write_text("Other words to learn from.\n" * 100)
    changed = staged(str(text), tmp_path, "3")
    assert changed != first
    assert (changed / "book.txt").read_text() == text.read_text()


def test_corpus_in_a_bucket_is_staged_in_a_bucket(tmp_path: Path) -> None:
    """TensorFlow's file system `ram://` stands for a bucket."""
    from tensorflow.io import gfile

    for name in ("a", "b"):
        with gfile.GFile(f"ram://corpora/{name}.txt", "w") as file:
            file.write("Some words to learn from.\n" * 50)
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    values = settings(tmp_path) | {"directory": "ram://state/corpus"}
    place = stage("ram://corpora/*.txt", values, CUTTING, workspace)
    assert place.startswith("ram://state/corpus/")
    assert sorted(gfile.listdir(place)) == ["a.txt", "b.txt"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("/no/such.txt", "no such corpus"),
        ("minio://bucket/x.txt", "cannot be read from its bucket.*state volume"),
        ("ram://empty/*.txt", "The bucket has no file"),
    ],
)
def test_unreadable_corpus_is_explained(source: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=reason):
        staged(source, tmp_path, "1")


def test_scheduled_run_never_trains_on_a_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.ingest import corpora

    stand_in = corpora.Corpus("shakespeare", corpora.resolve("sample", None, tmp_path).files, "NOT THE CORPUS.")
    monkeypatch.setattr(corpora, "resolve", lambda *_: stand_in)
    with pytest.raises(UserError, match="NOT THE CORPUS.*never trains on a stand-in.*corpus=shakespeare"):
        staged("shakespeare", tmp_path, "1")
