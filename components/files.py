"""Atomic writes and locks: a reader sees the old content of a file or the new one, writers take turns."""

import contextlib
import errno
import fcntl
import logging
import os
import stat
from collections.abc import Callable, Iterator
from typing import IO, BinaryIO

# Errors of file systems that cannot lock, such as NFS without its lock service, or cannot sync a directory.
_NOT_SUPPORTED = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def write(path: str | os.PathLike[str], content: str | bytes, mode: int | None = None) -> None:
    """Replace a file's content; text is encoded as UTF-8. Example: tests/components/test_files.py.

    Args:
      path: a local path, or a URL that TensorFlow can write to.
      content: the complete new content.
      mode: permissions of a new local file, whatever the umask; None: as the umask allows.

    Raises:
      OSError: the local file could not be written; it is as it was before, unless only its directory could not be
        synced.
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

    The new file keeps the permissions of an existing one, and its owner where that is allowed. Content and rename are
    synced to the disk: after a power loss the file is complete.

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
        sync_directory(os.path.dirname(partial) or os.curdir)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(partial)


def sync(directory: str | os.PathLike[str]) -> None:
    """Make all files below a local directory durable, before it is renamed: afterwards it is complete or missing."""
    for folder, _, names in os.walk(directory):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                os.fsync(file.fileno())
        sync_directory(folder)


def sync_directory(directory: str | os.PathLike[str]) -> None:
    """Make a rename in a directory durable, where the file system can and a directory may be opened."""
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # write and search permission suffice for the rename
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
    finally:
        os.close(handle)


def lock(handle: int | IO, name: str, waiting: Callable[[], None] = lambda: None) -> None:
    """Lock an open file or directory, and wait while another process holds the lock.

    The lock ends when the file is closed, and with the process. Some network file systems cannot lock, which is logged.

    Args:
      handle: the file, or its descriptor.
      name: of what the lock protects, for the log.
      waiting: called if the lock is held.
    """
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
        logging.warning("%s cannot be locked (%s): only one process may change it at a time", name, error.strerror)


def _write_remote(path: str, data: bytes) -> None:
    from tensorflow.io import gfile

    # An object appears once all of it is uploaded; renaming one is a copy and a deletion, and may stop in between.
    with gfile.GFile(path, "wb") as file:
        file.write(data)


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
