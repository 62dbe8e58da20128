"""Atomic writes: a reader sees the old content of a file or the new one, never a part of either."""

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO


def write(path: str | os.PathLike[str], content: str | bytes, mode: int | None = None) -> None:
    """Replace a file's content; text is encoded as UTF-8. Example: tests/components/test_files.py.

    Args:
      path: a local path, or a URL that TensorFlow can write to.
      content: the complete new content.
      mode: permissions of a new local file, whatever the umask; None: as the umask allows.

    Raises:
      OSError: the local file could not be written; it is as it was before.
    """
    data = content.encode() if isinstance(content, str) else content
    if "://" in os.fspath(path):
        _write_remote(os.fspath(path), data)
    else:
        with replacing(path, mode) as file:
            file.write(data)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], mode: int | None = None) -> Iterator[BinaryIO]:
    """Open a hidden file next to a local one; rename it to that one after the block, delete it if the block fails.

    The new file keeps the permissions of an existing one, and its owner where that is allowed.

    Args:
      path: of the file to replace; its directory must exist.
      mode: as in `write`.
    """
    partial = _partial(os.fspath(path))
    try:
        with open(partial, "xb") as file:
            yield file
            file.flush()
            _set_access(file.fileno(), path, mode)
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(partial)


def _write_remote(path: str, data: bytes) -> None:
    from tensorflow.io import gfile

    partial = _partial(path)
    try:
        with gfile.GFile(partial, "wb") as file:
            file.write(data)
        gfile.rename(partial, path, overwrite=True)
    except Exception:
        with contextlib.suppress(Exception):
            gfile.remove(partial)
        raise


def _partial(path: str) -> str:
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}.{os.urandom(4).hex()}.partial")


def _set_access(handle: int, path: str | os.PathLike[str], mode: int | None) -> None:
    with contextlib.suppress(FileNotFoundError):
        before = os.stat(path)
        with contextlib.suppress(PermissionError):  # only the superuser may change the owner
            os.fchown(handle, before.st_uid, before.st_gid)
        mode = stat.S_IMODE(before.st_mode)
    if mode is not None:
        os.fchmod(handle, mode)
