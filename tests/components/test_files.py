import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest

from components import files
from tests.bucket import Bucket


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def fail(*_: object, **__: object) -> None:
    raise ZeroDivisionError


def fail_with(number: int) -> None:
    raise OSError(number, os.strerror(number))


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


def test_content_is_on_disk_before_the_rename_and_the_rename_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    sync, replace = os.fsync, os.replace

    def name(handle: int) -> str:
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        return "directory" if path == tmp_path else path.name.split(".")[1]

    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append(f"fsync {name(handle)}"), sync(handle)))
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("replace"), replace(*paths)))
    files.write(tmp_path / "file", "four")
    assert calls == ["fsync file", "replace", "fsync directory"]


def sync_of_directories_fails(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = os.fsync

    def failing(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))
        sync(handle)

    monkeypatch.setattr(os, "fsync", failing)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.EOPNOTSUPP])
def test_file_system_that_cannot_sync_a_directory_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    sync_of_directories_fails(number, monkeypatch)
    files.write(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text"


def test_disk_error_of_the_directory_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync_of_directories_fails(errno.EIO, monkeypatch)
    with pytest.raises(OSError, match="Input/output error"):
        files.write(tmp_path / "file", "text")
    assert names(tmp_path) == ["file"]


def test_directory_that_may_not_be_listed_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal is simulated: tests may run as the superuser."""
    opened = os.open

    def refuse(path: str, flags: int, *arguments: int) -> int:
        if flags & os.O_DIRECTORY:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, flags, *arguments)

    monkeypatch.setattr(os, "open", refuse)
    files.write(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text"


def test_lock_is_waited_for_and_the_wait_is_reported(tmp_path: Path) -> None:
    first, second = ((tmp_path / "lock").open("w") for _ in range(2))
    with first, second:
        files.lock(first, "it")
        files.lock(second, "it", waiting=first.close)
        assert first.closed


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_file_system_without_locks_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda *_: fail_with(number))
    with (tmp_path / "lock").open("w") as file:
        files.lock(file, "the list")
    assert f"the list cannot be locked ({os.strerror(number)})" in caplog.text


def test_other_errors_of_a_lock_are_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda *_: fail_with(errno.EIO))
    with (tmp_path / "lock").open("w") as file, pytest.raises(OSError, match="Input/output error"):
        files.lock(file, "the list")


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
def test_object_in_a_bucket_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket.install(monkeypatch)
    files.write("gs://bucket/file", "old")
    for _ in bucket.killed_in(lambda: files.write("gs://bucket/file", "new")):
        assert bucket.objects == {"gs://bucket/file": b"old"}
    files.write("gs://bucket/file", "new")
    assert bucket.objects == {"gs://bucket/file": b"new"}
