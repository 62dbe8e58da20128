"""Staging in the run: the content decides the place, and what cannot be had is refused. No bucket is touched."""

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


def test_the_same_content_goes_to_the_same_place_and_a_change_to_another(tmp_path: Path) -> None:
    text = tmp_path / "book.txt"
    text.write_text("Some words to learn from.\n" * 100)
    first = staged(str(text), tmp_path, "1")
    assert first.parent == tmp_path / "state" / "corpus"
    assert staged(str(text), tmp_path, "2") == first
    text.write_text("Other words to learn from.\n" * 100)
    changed = staged(str(text), tmp_path, "3")
    assert changed != first
    assert (changed / "book.txt").read_text() == text.read_text()


def test_a_corpus_elsewhere_is_copied_and_staged_where_workers_see_it(tmp_path: Path) -> None:
    """TensorFlow's `ram://` stands for a bucket: the code is the same, the file system is not."""
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
        ("ram://empty/*.txt", "There is no file"),
    ],
)
def test_what_cannot_be_had_is_explained(source: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=reason):
        staged(source, tmp_path, "1")


def test_a_schedule_never_trains_on_the_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.ingest import corpora

    stand_in = corpora.Corpus("shakespeare", corpora.resolve("sample", None, tmp_path).files, "NOT THE CORPUS.")
    monkeypatch.setattr(corpora, "resolve", lambda *_: stand_in)
    with pytest.raises(UserError, match="NOT THE CORPUS.*never trains on a stand-in.*corpus=shakespeare"):
        staged("shakespeare", tmp_path, "1")
