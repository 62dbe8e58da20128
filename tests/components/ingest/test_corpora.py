"""A name, path, glob or URL becomes files on local disk; downloads are faked (see test_download.py for real ones)."""

import doctest
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.errors import UserError
from components.ingest import corpora, download
from components.ingest.corpora import Corpus, resolve
from components.ingest.local_files import SourceFile

TEXT = b"To be, or not to be.\n"
DIGEST = hashlib.sha256(TEXT).hexdigest()
OTHER_DIGEST = hashlib.sha256(b"something else").hexdigest()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "cache"


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "bundled" / "sample.txt"
    path.parent.mkdir()
    path.write_bytes(TEXT)
    monkeypatch.setattr(corpora, "SAMPLE", path)
    return path


@pytest.fixture
def as_nobody() -> Iterator[Callable[[], None]]:
    """Returns a function that drops the superuser's right to read every file."""
    user = os.geteuid()
    yield lambda: os.seteuid(65534) if user == 0 else None
    os.seteuid(user)


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that every user can reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def names(corpus: Corpus) -> list[str]:
    return [file.name for file in corpus.files]


def write(base: Path, *files: str) -> Path:
    for name in files:
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_bytes(name.encode())
    return base


# Local files


def test_docstring_examples_run() -> None:
    assert doctest.testmod(corpora).failed == 0


def test_file(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "books/a book.md")
    monkeypatch.chdir(tmp_path)
    corpus = resolve("books/a book.md", None, cache)
    assert corpus == Corpus("books/a book.md", (SourceFile("a book.md", tmp_path / "books/a book.md"),), None)
    assert corpus.files[0].read() == b"books/a book.md"
    assert not cache.exists()


def test_home_is_expanded(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.txt", "b.txt")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert names(resolve("~/a.txt", None, cache)) == ["a.txt"]
    assert names(resolve("~/[b]*", None, cache)) == ["b.txt"]


def test_directory_is_recursive_sorted_and_without_hidden_files(tmp_path: Path, cache: Path) -> None:
    write(tmp_path, "z.txt", "b/c.txt.gz", "b/a.txt", "b.txt", ".h.txt", ".git/x.txt", "b/notes.md", "b/d.gz", "y.txt~")
    corpus = resolve(str(tmp_path), None, cache)
    assert names(corpus) == ["b.txt", "b/a.txt", "b/c.txt.gz", "z.txt"]
    assert [file.read().decode() for file in corpus.files] == names(corpus)


def test_directory_accepts_suffixes_in_upper_case(tmp_path: Path, cache: Path) -> None:
    write(tmp_path, "A.TXT", "b.Txt", "c.TXT.GZ", "d.txt.gz", "e.TXTS")
    assert names(resolve(str(tmp_path), None, cache)) == ["A.TXT", "b.Txt", "c.TXT.GZ", "d.txt.gz"]


def test_directory_follows_links_but_no_cycles(tmp_path: Path, cache: Path) -> None:
    write(tmp_path, "corpus/a.txt", "elsewhere/b.txt")
    (tmp_path / "corpus" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "corpus" / "up").symlink_to(tmp_path / "corpus")
    assert names(resolve(str(tmp_path / "corpus"), None, cache)) == ["a.txt", "linked/b.txt"]


def test_directory_without_text_is_an_error(tmp_path: Path, cache: Path) -> None:
    write(tmp_path, "a.md", "b/c.pdf", ".d.txt")
    with pytest.raises(UserError, match=r"looked in it and below it for \*\.txt and \*\.txt\.gz.* found 3 other files"):
        resolve(str(tmp_path), None, cache)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.md", ["a.md"]),
        ("b/*", ["c.md", "d.txt"]),
        ("**/*.md", ["a.md", "b/c.md", "b/e/f.md"]),
        ("b/**", ["c.md", "d.txt", "e/f.md"]),
        ("b/?.txt", ["d.txt"]),
        ("[ab].md", ["a.md"]),
        ("b/*/../c.md", ["c.md"]),
    ],
)
def test_glob(pattern: str, expected: list[str], tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.md", "b/c.md", "b/d.txt", "b/e/f.md")
    monkeypatch.chdir(tmp_path)
    corpus = resolve(pattern, None, cache)
    assert names(corpus) == expected
    assert all(file.path.is_absolute() and file.path.is_file() for file in corpus.files)


def test_glob_without_file_is_an_error(tmp_path: Path, cache: Path) -> None:
    write(tmp_path, "a/b.md")
    with pytest.raises(UserError, match=r"matches no file \(1 directories.*Received: '.*/\*'$"):
        resolve(f"{tmp_path}/*", None, cache)


def test_existing_file_with_glob_characters_is_a_file(tmp_path: Path, cache: Path) -> None:
    write(tmp_path, "a[1].txt", "a1.txt")
    assert names(resolve(f"{tmp_path}/a[1].txt", None, cache)) == ["a[1].txt"]


def test_known_name_takes_precedence_over_a_file_of_that_name(
    tmp_path: Path, cache: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "sample/mine.txt", "sample.txt")
    monkeypatch.chdir(tmp_path)
    assert resolve("sample", None, cache) == Corpus("sample", (SourceFile("sample.txt", sample),), None)
    assert names(resolve("./sample", None, cache)) == ["mine.txt"]
    assert resolve("sample.txt", None, cache).files[0].path == tmp_path / "sample.txt"


@pytest.mark.parametrize("source", ["shakespear", "", " ", "no/such/thing.txt", "a.txt/b"])
def test_unknown_source_is_an_error(source: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.txt")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        resolve(source, None, cache)
    assert "(shakespeare, great_expectations, sample)" in str(caught.value)
    assert str(caught.value).endswith(f"Received: {source!r}")


def test_close_matches_are_known_names_and_files_of_the_directory(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "books/hamlet.txt", "othello.txt")
    monkeypatch.chdir(tmp_path)
    for source, close in [
        ("shakespear", "shakespeare"),
        ("books/hamlt.txt", "books/hamlet.txt"),
        ("othelo.txt", "othello.txt"),
    ]:
        with pytest.raises(UserError, match=rf"Did you mean {close}\?"):
            resolve(source, None, cache)


@pytest.mark.parametrize("checksum", [DIGEST, f"sha256:{DIGEST}", DIGEST.upper()])
def test_local_checksum_is_verified(checksum: str, tmp_path: Path, cache: Path, sample: Path) -> None:
    assert names(resolve(str(sample), checksum, cache)) == ["sample.txt"]
    assert names(resolve("sample", checksum, cache)) == ["sample.txt"]
    sample.write_bytes(b"something else")
    with pytest.raises(UserError, match=f"than the {DIGEST} expected.*Received: {OTHER_DIGEST}$"):
        resolve(str(sample), checksum, cache)


def test_checksum_of_several_files_is_an_error(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(UserError, match="belongs to one file, .* stands for 2"):
        resolve(str(write(tmp_path, "a.txt", "b.txt")), DIGEST, cache)


@pytest.mark.parametrize("checksum", ["abc", "md5:" + DIGEST, DIGEST + "0", "sha256:"])
def test_malformed_checksum_is_an_error(checksum: str, cache: Path) -> None:
    with pytest.raises(UserError, match=f"64 hex digits.*Received: '{checksum}'$"):
        resolve("shakespeare", checksum, cache)


def test_file_or_directory_without_read_permission_is_an_error(
    public: Path, cache: Path, as_nobody: Callable[[], None]
) -> None:
    write(public, "a.txt", "b/c.txt", "d/e.txt")
    (public / "a.txt").chmod(0)
    (public / "b").chmod(0)
    as_nobody()
    assert names(resolve(f"{public}/d", None, cache)) == ["e.txt"]
    for source in ("a.txt", "b", "b/c.txt", ""):
        with pytest.raises(UserError, match=r"cannot be read: Permission denied.*Received: '/"):
            resolve(f"{public}/{source}", None, cache)


def test_dangling_link_or_pipe_is_an_error(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "a.txt").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=r"cannot be read: No such file.*Received: '.*/a\.txt'$"):
        resolve(str(tmp_path), None, cache)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="not a regular file"):
        resolve(str(tmp_path / "pipe"), None, cache)


def test_deleted_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        SourceFile("a.txt", tmp_path / "a.txt").read()


def test_invalid_file_name_is_an_error(cache: Path) -> None:
    for source in ("a\0b", "a" * 5000):
        with pytest.raises(UserError, match="cannot be read"):
            resolve(source, None, cache)


# Downloads


class Web:
    """Replaces `download.fetch`: returns or raises `answer` and records its arguments."""

    def __init__(self, answer: Path | UserError) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str | None, Path]] = []
        self.authorization: str | None = None

    def __call__(self, url: str, expected: str | None, cache: Path, authorization: str | None) -> Path:
        self.asked.append((url, expected, cache))
        self.authorization = authorization
        if isinstance(self.answer, UserError):
            raise self.answer
        return self.answer


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Web:
    (tmp_path / "cached").write_bytes(TEXT)
    web = Web(tmp_path / "cached")
    monkeypatch.setattr(download, "fetch", web)
    return web


def test_url_is_downloaded_into_the_cache(web: Web, cache: Path, tmp_path: Path) -> None:
    for url, checksum, expected in [
        ("https://example.org/books/to%20be.txt?key=1", None, None),
        ("HTTP://example.org/books/to%20be.txt", f"sha256:{DIGEST.upper()}", DIGEST),
    ]:
        corpus = resolve(url, checksum, cache)
        assert corpus == Corpus(url, (SourceFile("to be.txt", tmp_path / "cached"),), None)
        assert web.asked.pop() == (url, expected, cache)


def test_secret_is_for_the_users_own_url_only(web: Web, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORPUS_AUTHORIZATION", "Bearer secret")
    resolve("https://example.org/private.txt", None, cache)
    assert web.authorization == "Bearer secret"
    monkeypatch.setenv("CORPUS_AUTHORIZATION", "Bearer secret\n")  # a Secret that was made from a file
    resolve("https://example.org/private.txt", None, cache)
    assert web.authorization == "Bearer secret"
    resolve("shakespeare", None, cache)
    assert web.authorization is None


@pytest.mark.parametrize("secret", ["Bearer\nsecret", "secret\u20ac", "secret\0"])
def test_secret_that_cannot_be_sent_is_not_printed(
    secret: str, web: Web, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"CORPUS_AUTHORIZATION": secret})  # the real one can hold no null character
    with pytest.raises(UserError, match="one line of ASCII text") as raised:
        resolve("https://example.org/private.txt", None, cache)
    assert "secret" not in str(raised.value)


def test_known_corpus_has_a_checksum_unless_the_user_gives_another(web: Web, cache: Path) -> None:
    url, known = corpora.KNOWN["shakespeare"]
    corpus = resolve("shakespeare", None, cache)
    assert (corpus.label, names(corpus), corpus.note) == ("shakespeare", ["shakespeare.txt"], None)
    resolve("shakespeare", OTHER_DIGEST, cache)
    assert web.asked == [(url, known, cache), (url, OTHER_DIGEST, cache)]


def test_default_corpus_falls_back_to_the_sample_only_when_unreachable(web: Web, cache: Path, sample: Path) -> None:
    web.answer = UserError("HTTP 404")
    with pytest.raises(UserError, match="HTTP 404"):
        resolve("shakespeare", None, cache)
    web.answer = download.Unreachable("no route")
    corpus = resolve("shakespeare", None, cache)
    assert (corpus.label, corpus.files) == ("sample", (SourceFile("sample.txt", sample),))
    assert corpus.note is not None
    assert corpus.note.startswith("NOT THE CORPUS YOU ASKED FOR: 'shakespeare' could not be downloaded")
    assert corpus.note.endswith("Reason: no route.")
    for source, checksum in [("great_expectations", None), ("shakespeare", DIGEST)]:
        with pytest.raises(UserError, match="no route"):
            resolve(source, checksum, cache)


def test_missing_sample_does_not_hide_the_cause_of_the_failed_download(web: Web, cache: Path, sample: Path) -> None:
    sample.unlink()
    web.answer = download.Unreachable("no route")
    with pytest.raises(UserError, match="no route"):
        resolve("shakespeare", None, cache)
    with pytest.raises(UserError, match="cannot be read"):
        resolve("sample", None, cache)


def test_known_urls() -> None:
    assert corpora.KNOWN == {
        "shakespeare": (
            "https://storage.googleapis.com/download.tensorflow.org/data/shakespeare.txt",
            "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        ),
        "great_expectations": ("https://www.gutenberg.org/files/1400/1400-0.txt", None),
        "sample": (None, None),
    }
