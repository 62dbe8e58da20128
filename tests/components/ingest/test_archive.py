"""Members of zip archives become documents."""

import io
import zipfile
from pathlib import Path

import pytest

from components.errors import UserError
from components.ingest.corpora import resolve


def zipped(*members: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def documents(source: Path, cache: Path, **options: tuple[str, ...]) -> dict[str, bytes]:
    return {file.name: file.read() for file in resolve(str(source), None, cache, **options).files}


def test_texts_of_an_archive_are_documents(tmp_path: Path) -> None:
    (tmp_path / "books.zip").write_bytes(
        zipped(
            ("b/two.TXT", b"2"),
            ("one.txt", b"1"),
            ("../../evil.txt", b"3"),
            ("notes.md", b"4"),
            ("__MACOSX/one.txt", b"5"),
            (".hidden.txt", b"6"),
        )
    )
    cache = tmp_path / "cache"
    expected = {"books.zip/b/two.TXT": b"2", "books.zip/one.txt": b"1"}
    assert documents(tmp_path / "books.zip", cache) == expected
    (unpacked,) = cache.iterdir()
    assert sorted(path.name for path in unpacked.iterdir()) == ["0", "1"]
    assert documents(tmp_path / "books.zip", cache) == expected
    assert documents(tmp_path / "books.zip", cache, suffixes=(".md",)) == {"books.zip/notes.md": b"4"}


def test_tables_of_an_archive_are_found_with_a_column(tmp_path: Path) -> None:
    (tmp_path / "all.zip").write_bytes(zipped(("a.csv", b"1"), ("b.JSONL.gz", b"2"), ("readme.txt", b"3")))
    found = resolve(str(tmp_path / "all.zip"), None, tmp_path / "cache", None, "text").files
    assert [file.name for file in found] == ["all.zip/a.csv", "all.zip/b.JSONL.gz"]


def test_archives_of_a_glob_stand_beside_texts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"1")
    (tmp_path / "b.zip").write_bytes(zipped(("c.txt", b"2")))
    assert documents(tmp_path / "*", tmp_path / "cache") == {"a.txt": b"1", "b.zip/c.txt": b"2"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped(("word/document.xml", b"<w>")), "has no text: none of its 1 files ends with .txt or .txt.gz"),
        (zipped(), "has no text: none of its 0 files"),
        (zipped(("a.txt", b"a" * 500))[:60], "cannot be unpacked: "),
        (zipped(("a.txt", b"ab"), compression=zipfile.ZIP_STORED).replace(b"ab", b"cd"), "cannot be unpacked: "),
    ],
    ids=["another kind of file", "empty", "cut off", "damaged"],  # archives have the time in them
)
def test_archive_that_cannot_be_read_is_an_error_and_leaves_nothing(
    content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError) as caught:
        resolve(str(tmp_path / "a.zip"), None, tmp_path / "cache")
    assert message in str(caught.value)
    assert str(caught.value).endswith(f"Received: '{tmp_path}/a.zip'")
    assert not (tmp_path / "cache").exists() or list((tmp_path / "cache").iterdir()) == []
