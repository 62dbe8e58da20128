"""A pattern of spans names the documents of the newest ones."""

from pathlib import Path

import pytest

from components.errors import UserError
from components.ingest import staging
from components.ingest.selection.spans import Window, resolve
from tests.bucket import Bucket

pytestmark = pytest.mark.integration


def names(tmp_path: Path, pattern: str, window: Window = "all") -> list[str]:
    return [file.name for file in resolve(f"{tmp_path}/{pattern}", window, None, tmp_path / "cache").files]


def write(tmp_path: Path, *places: str) -> None:
    for place in places:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(place)


def test_window_has_the_newest_spans_by_number(tmp_path: Path) -> None:
    write(tmp_path, "t/9/a.txt", "t/10/a.txt", "t/10/b.txt", "t/2/a.txt", "t/.11/a.txt", "t/note.md")
    assert names(tmp_path, "t/{SPAN}/*.txt", 1) == ["10/a.txt", "10/b.txt"]
    assert names(tmp_path, "t/{SPAN}/*.txt", 2) == ["9/a.txt", "10/a.txt", "10/b.txt"]
    corpus = resolve(f"{tmp_path}/t/{{SPAN}}/*.txt", 7, None, tmp_path)
    assert (corpus.spans, corpus.newest_span) == (("2", "9", "10"), 10)
    assert corpus.properties("digest") == {"eval_digest": "digest", "spans": "2,9,10", "span": 10}
    write(tmp_path, "t/11/a.txt")
    assert names(tmp_path, "t/{SPAN}/*.txt", 1) == ["11/a.txt"]


def test_dates_are_spans(tmp_path: Path) -> None:
    write(tmp_path, *(f"t/{day}/a.txt" for day in ("2025-12-31", "2026-01-31", "2026-01-02")))
    corpus = resolve(f"{tmp_path}/t/{{YYYY}}-{{MM}}-{{DD}}/*.txt", 2, None, tmp_path)
    assert [file.path.read_text() for file in corpus.files] == ["t/2026-01-02/a.txt", "t/2026-01-31/a.txt"]
    assert (corpus.spans, corpus.newest_span) == (("2026-01-02", "2026-01-31"), 20_484)


def test_width_directory_file_and_version(tmp_path: Path) -> None:
    write(tmp_path, "t/08/x/a.txt", "t/09/b.txt", "f/text-3.txt", "v/1/1/a.txt", "v/1/12/a.txt", "v/1/9/a.txt")
    assert names(tmp_path, "t/{SPAN:2}") == ["8/x/a.txt", "9/b.txt"]
    assert names(tmp_path, "t/{SPAN}/**/*.txt") == ["8/a.txt", "9/b.txt"]
    assert names(tmp_path, "f/text-{SPAN}.txt") == ["3/text-3.txt"]
    (newest,) = resolve(f"{tmp_path}/v/{{SPAN}}/{{VERSION}}/a.txt", "all", None, tmp_path).files
    assert newest.path.read_text() == "v/1/12/a.txt"


def test_spans_in_a_bucket_are_those_of_an_equal_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket.install(monkeypatch)
    for place in ("2/a.txt", "10/a.txt", "10/b.txt"):
        bucket.objects[f"gs://texts/{place}"] = place.encode()
    corpus = resolve("gs://texts/{SPAN}/*.txt", 1, None, tmp_path)
    assert [(file.name, file.path.read_text()) for file in corpus.files] == [
        ("10/a.txt", "10/a.txt"),
        ("10/b.txt", "10/b.txt"),
    ]
    assert corpus.spans == ("10",)


def test_new_span_changes_the_staged_corpus_and_an_old_one_outside_of_the_window_does_not(tmp_path: Path) -> None:
    def directory() -> str:
        return staging.stage(resolve(f"{tmp_path}/t/{{SPAN}}/a.txt", 2, None, tmp_path), tmp_path / "s").name

    write(tmp_path, "t/4/a.txt", "t/5/a.txt")
    first = directory()
    write(tmp_path, "t/3/a.txt")
    assert directory() == first
    write(tmp_path, "t/6/a.txt")
    assert directory() != first


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("t/{SPAN}/{SPAN}/a.txt", "The spans of the corpus cannot be found: Only one {SPAN} is allowed"),
        ("t/{YYYY}-{MM}/a.txt", "Exactly one of each date spec"),
        ("t/{VERSION}/a.txt", "Version spec provided, but Span or Date spec is not present"),
        ("t/{SPAN}/b.txt", "The corpus has no span: no path matches its pattern"),
        ("t/{SPAN}/a.txt", r"Cannot find span number from .*/t/[-a-z0-9]+/a.txt"),
        ("t/{YYYY}-{MM}-{DD}/a.txt", "Retrieved date is invalid for file: .*/t/2026-02-30/a.txt"),
    ],
)
def test_error_names_the_pattern(pattern: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, "t/1/a.txt", "t/draft/a.txt", "t/2026-02-30/a.txt")
    with pytest.raises(UserError, match=rf"{message}.*Received: '.*{pattern[-9:]}'$"):
        resolve(f"{tmp_path}/{pattern}", "all", None, tmp_path)


def test_window_and_checksum_need_a_corpus_that_can_have_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"set corpus\.window=all\. Received: corpus\.window=2, 'sample'"):
        resolve("sample", 2, None, tmp_path)
    with pytest.raises(UserError, match="A checksum belongs to one file"):
        resolve("{SPAN}.txt", 2, "0" * 64, tmp_path)
    assert resolve("sample", "all", None, tmp_path).spans == ()
