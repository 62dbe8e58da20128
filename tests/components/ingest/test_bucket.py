"""A URL of a bucket stands for the documents that the path of an equal local tree stands for."""

import doctest
from pathlib import Path

import pytest
from tensorflow import errors
from tensorflow.io import gfile

from components.errors import UserError
from components.ingest import bucket as module
from components.ingest import corpora, staging
from tests.bucket import Bucket

pytestmark = pytest.mark.integration

TREE = ["a.md", "b/c.md", "b/d.txt", "b/e/f.md", "b/e/d.txt", "B.TXT", "c d.txt.gz", "é.txt", "a[1].txt", "a1.txt"]
TREE += [".h.txt", ".g/x.txt", "b/.h/y.txt", "b/e/.z.txt"]
URL = "gs://bucket/deep/texts"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    return Bucket.install(monkeypatch)


@pytest.fixture
def tree(bucket: Bucket, tmp_path: Path) -> Path:
    """The same files in a local directory and in the bucket, and the objects that stand for its folders."""
    for name in TREE:
        path = tmp_path / "texts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name * 100)
        bucket.objects[f"{URL}/{name}"] = path.read_bytes()
    for folder in ("", "b/", "b/e/", "empty/"):
        bucket.objects[f"{URL}/{folder}"] = b""
    return tmp_path / "texts"


def test_docstring_example_is_true() -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    "source",
    ["", "b", "b/", "b/e", "a.md", "b/c.md", "a[1].txt", ".g", ".g/x.txt"]
    + ["*", "*.md", "**", "**/*.md", "b/**", "**/d.txt", "*/e/*", "b/*/*", "**/**/f.md", "b/?.txt", "[ab].md", "[!b]*"]
    + [".*", "**/.*", "*/.h/*", ".g/*"],
)
def test_documents_are_those_of_the_local_tree(source: str, tree: Path, tmp_path: Path) -> None:
    local = corpora.resolve(f"{tree}/{source}", None, tmp_path / "cache")
    remote = corpora.resolve(f"{URL}/{source}", None, tmp_path / "cache")
    assert local.files
    assert [(file.name, file.read()) for file in remote.files] == [(file.name, file.read()) for file in local.files]
    assert staging.stage(remote, tmp_path / "remote").name == staging.stage(local, tmp_path / "local").name


def test_object_and_folder_of_one_name_are_both_read(bucket: Bucket, tmp_path: Path) -> None:
    for name in ("a.txt", "a.txt/b.txt"):
        bucket.objects[f"{URL}/{name}"] = name.encode()
    assert [file.name for file in corpora.resolve(URL, None, tmp_path).files] == ["a.txt", "a.txt/b.txt"]


def test_file_system_that_does_not_mark_folders_is_read_likewise(tmp_path: Path) -> None:
    """TensorFlow's `file://` stands for it."""
    for name in ("a.txt", "b/c.txt", "b/d/e.txt"):
        path = tmp_path / "texts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    for source, names in [("", ["a.txt", "b/c.txt", "b/d/e.txt"]), ("*/*.txt", ["c.txt"])]:
        corpus = corpora.resolve(f"file://{tmp_path}/texts/{source}", None, tmp_path / "cache")
        assert [file.name for file in corpus.files] == names


def test_changed_object_is_copied_again_and_an_unchanged_one_is_not(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(name: str, content: str) -> None:
        with gfile.GFile(f"{URL}/{name}", "w") as file:
            file.write(content)

    def read() -> list[bytes]:
        return [file.read() for file in corpora.resolve(f"{URL}/*", None, tmp_path / "cache").files]

    write("a.txt", "one")
    write("b.txt", "one")
    assert read() == [b"one", b"one"]
    write("b.txt", "two")
    del bucket.objects[f"{URL}/a.txt"]
    opened: list[str] = []
    open_object = gfile.GFile
    monkeypatch.setattr(gfile, "GFile", lambda path, mode: opened.append(path) or open_object(path, mode))
    assert read() == [b"two"]
    assert read() == [b"two"]
    assert opened == [f"{URL}/b.txt"]


def test_checksum_of_one_object_is_verified(bucket: Bucket, tmp_path: Path) -> None:
    bucket.objects[f"{URL}/a.txt"] = b"text"
    with pytest.raises(UserError, match=f"The corpus at {URL}/a.txt has another SHA-256"):
        corpora.resolve(f"{URL}/a.txt", "0" * 64, tmp_path)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (f"{URL}/gone", "no such corpus.*neither an object nor a folder"),
        (f"{URL}/gone/*", "glob matches no object"),
        (f"{URL}/*.pdf", "glob matches no object"),
        (f"{URL}/empty", "folder has no text.*found 0 other files"),
        (f"{URL}/markdown", "folder has no text.*found 1 other files.*texts/markdown/\\*\\*/\\*.md"),
        (f"{URL}/odd", "part between two slashes is empty"),
        ("gs://", "no such corpus"),
        ("minio://bucket/a.txt", "scheme 'minio' not implemented.*state volume"),
        ("ftp://example.org/a.txt", "scheme 'ftp' not implemented.*give an http\\(s\\) URL"),
    ],
)
def test_corpus_that_cannot_be_read_is_explained(source: str, reason: str, bucket: Bucket, tmp_path: Path) -> None:
    for name in ("empty/", "markdown/a.md", "odd//a.txt"):
        bucket.objects[f"{URL}/{name}"] = b""
    with pytest.raises(UserError, match=f"{reason}.*Received: ") as caught:
        corpora.resolve(source, None, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", [URL, f"{URL}/a.txt", f"{URL}/*"])
def test_missing_permission_is_explained(
    source: str, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.objects[f"{URL}/a.txt"] = b"text"

    def refuse(_: str) -> None:
        raise errors.PermissionDeniedError(None, None, "HTTP response code 403\n\t when reading metadata")

    monkeypatch.setattr(gfile, "stat", refuse)
    monkeypatch.setattr(gfile, "isdir", lambda _: False)  # as TensorFlow's own
    with pytest.raises(UserError, match=r"its bucket: HTTP response code 403 when reading .*log in"):
        corpora.resolve(source, None, tmp_path)


def test_cache_that_cannot_be_written_is_explained(bucket: Bucket, tmp_path: Path) -> None:
    bucket.objects[f"{URL}/a.txt"] = b"text"
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="into the cache .*/file/cache: .*XDG_CACHE_HOME.*Received: 'gs://"):
        corpora.resolve(f"{URL}/a.txt", None, tmp_path / "file" / "cache")
