"""Staging in the run, into a volume or a bucket: directories named after the content, and explained errors."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from components.errors import UserError
from kubeflow.task.staging import stage
from tests.bucket import Bucket

pytestmark = pytest.mark.integration

CUTTING = {"passage_length": 500.0, "eval_fraction": 0.1, "test_fraction": 0.0, "documents": "file"}
CUTTING |= {"column": None, "normalization": None, "fold_case": False}


def staged(source: str, tmp_path: Path, name: str, directory: str = "", window: Any = "all") -> str:
    """Stage as a new pod would, by default into the state volume."""
    workspace = tmp_path / name
    workspace.mkdir()
    place = directory or str(tmp_path / "state" / "corpus")
    settings = {"directory": place, "checksum": None, "min_chars": 1000, "suffixes": None, "holdout": None}
    settings["window"] = window
    return stage(source, settings, CUTTING, workspace).corpus


def test_same_content_has_the_same_directory_and_changed_content_another(tmp_path: Path) -> None:
    text = tmp_path / "book.txt"
    text.write_text("Some words to learn from.\n" * 100)
    first = staged(str(text), tmp_path, "1")
    assert Path(first).parent == tmp_path / "state" / "corpus"
    assert staged(str(text), tmp_path, "2") == first
    text.write_text("Other words to learn from.\n" * 100)
    changed = staged(str(text), tmp_path, "3")
    assert changed != first
    assert Path(changed, "book.txt").read_text() == text.read_text()


def test_every_run_finds_the_newest_spans(tmp_path: Path) -> None:
    def add(span: int) -> None:
        (tmp_path / "texts" / f"{span}").mkdir(parents=True)
        (tmp_path / "texts" / f"{span}" / "book.txt").write_text(f"Some words of month {span}.\n" * 100)

    pattern = f"{tmp_path}/texts/{{SPAN}}/*.txt"
    add(1)
    assert sorted(path.name for path in Path(staged(pattern, tmp_path, "1", window=2)).iterdir()) == ["1%2Fbook.txt"]
    add(2)
    add(3)
    newest = Path(staged(pattern, tmp_path, "2", window=2))
    assert sorted(path.name for path in newest.iterdir()) == ["2%2Fbook.txt", "3%2Fbook.txt"]


def test_holdout_is_staged_beside_the_corpus(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("Some words to learn from.\n" * 100)
    (tmp_path / "held.txt").write_text("Other words.\n" * 100)
    settings = {"directory": str(tmp_path / "state"), "checksum": None, "min_chars": 1000, "suffixes": None}
    settings["window"] = "all"
    place = str(tmp_path / "book.txt")
    alone = stage(place, settings | {"holdout": None}, CUTTING, tmp_path / "1")
    held = stage(place, settings | {"holdout": str(tmp_path / "held.txt")}, CUTTING, tmp_path / "2")
    assert held.corpus == alone.corpus
    assert Path(held.holdout, "held.txt").read_text() == "Other words.\n" * 100
    assert (alone.holdout, held.properties == alone.properties) == ("", False)


def test_corpus_in_a_bucket_is_staged_in_a_bucket_like_a_local_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket.install(monkeypatch)
    for name in ("a.txt", "b/a.txt", "b/c.md"):
        text = f"Some words to learn from {name}.\n" * 50
        (tmp_path / "texts" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "texts" / name).write_text(text)
        bucket.objects[f"gs://corpora/{name}"] = text.encode()
    for number, pattern in enumerate(("", "/b/c.md", "/b/*", "/**/*.txt")):
        local = staged(f"{tmp_path}/texts{pattern}", tmp_path, f"local-{number}")
        remote = staged(f"gs://corpora{pattern}", tmp_path, f"remote-{number}", "gs://state/corpus")
        assert remote == f"gs://state/corpus/{Path(local).name}"
        assert bucket.tree(remote) == {path.name: path.read_bytes() for path in Path(local).iterdir()}


def test_half_copy_of_a_killed_run_is_finished_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket.install(monkeypatch, placeholders=True)
    documents = {name: f"Some words to learn from {name}.\n".encode() * 50 for name in ("a.txt", "b.txt", "c.txt")}
    bucket.objects |= {f"gs://corpora/{name}": text for name, text in documents.items()}
    runs = itertools.count()

    def run() -> str:
        return staged("gs://corpora", tmp_path, f"{next(runs)}", "gs://state/corpus")

    killed = []
    for number in bucket.killed_in(run):
        killed.append(number)
        place = run()
        assert bucket.tree(place) == documents
    assert killed == [0, 1, 2]
    bucket.restart()
    assert run() == place
    assert bucket.operations == 0, "a complete copy is not written again"
    # Objects that are none of the corpus, or not complete, as an older version or another program may leave them.
    bucket.objects |= {
        f"{place}/d.txt": b"other",
        f"{place}/a.txt": b"half",
        f"{place}/": b"",
        f"{place}/folder/e": b"",
    }
    assert run() == place
    assert bucket.tree(place) == {**documents, "folder/e": b""}


def test_bucket_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    text = tmp_path / "book.txt"
    text.write_text("Some words to learn from.\n" * 100)
    with pytest.raises(
        UserError, match="cannot be copied into the bucket.*'s3' not implemented.*Received: s3://state/"
    ):
        staged(str(text), tmp_path, "1", "s3://state/corpus")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("/no/such.txt", "no such corpus"),
        ("minio://bucket/x.txt", "cannot be read from its bucket.*state volume"),
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
