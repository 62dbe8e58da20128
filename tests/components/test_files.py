import os
from pathlib import Path

import pytest

from components import files


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def fail(*_: object, **__: object) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(("content", "expected"), [("é\n", b"\xc3\xa9\n"), (b"\x00\xff", b"\x00\xff")])
def test_text_and_bytes_replace_the_content(tmp_path: Path, content: str | bytes, expected: bytes) -> None:
    path = tmp_path / "file"
    for _ in range(2):
        files.write(path, content)
        assert path.read_bytes() == expected
    assert names(tmp_path) == ["file"]


def test_relative_path_is_written_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files.write("file", "text")
    assert names(tmp_path) == ["file"]


def test_failed_block_keeps_the_old_content_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), files.replacing(path) as file:
        fail(file.write(b"half of the n"))
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_temporary_file_is_hidden_and_next_to_the_file(tmp_path: Path) -> None:
    with files.replacing(tmp_path / "file"):
        (name,) = names(tmp_path)
    assert name.startswith(".file.")


def test_full_disk_keeps_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_content_is_on_disk_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append(f"fsync {os.fstat(handle).st_size}"), sync(handle)))
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("replace"), replace(*paths)))
    files.write(tmp_path / "file", "four")
    assert calls == ["fsync 4", "replace"]


def test_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.write(tmp_path / "missing" / "file", "text")


def test_permissions_are_kept_or_as_given_or_by_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        files.write(tmp_path / "private", "text")
        files.write(tmp_path / "public", "text", mode=0o644)
        os.umask(0o022)
        files.write(tmp_path / "private", "changed", mode=0o644)
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("private", "public")] == [0o600, 0o644]


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser may change the owner of a file")
def test_owner_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    os.chown(path, 1234, 2345)
    files.write(path, "new")
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)


@pytest.mark.integration
def test_object_in_a_bucket_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow's `ram://` stands for a bucket."""
    from tensorflow.io import gfile

    gfile.makedirs("ram://atomic")
    for content in ("old and long", "new"):
        files.write("ram://atomic/file", content)
        with gfile.GFile("ram://atomic/file") as file:
            assert file.read() == content
    monkeypatch.setattr(gfile, "rename", fail)
    with pytest.raises(ZeroDivisionError):
        files.write("ram://atomic/file", "newer")
    assert gfile.listdir("ram://atomic") == ["file"]
