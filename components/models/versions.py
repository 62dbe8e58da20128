"""Model versions in a TF Serving directory: `<base>/<number>/saved_model.pb`.

Paths may be local or of any file system that `tf.io.gfile` knows. TF Serving looks every second and takes a number
for a whole version, so a version is written under a name that is no number and then renamed.
"""

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator

from tensorflow.io import gfile

from components.models.version_number import is_version_number

SAVED_MODEL = "saved_model.pb"
_INCOMING = ".incoming-"
# What a file system answers whose directories cannot be locked, such as NFS.
_CANNOT_LOCK = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def locked(base: str) -> Iterator[None]:
    """Hold a serving directory alone, made where it is missing; wait while another process pushes to it.

    The directory itself is locked, so nothing is left in it and a killed process lets go of it. Runs of several roots
    may share one serving directory. Not to be nested. A bucket cannot be locked; nor can some network file systems,
    which is logged.
    """
    gfile.makedirs(base)
    if "://" in base:
        yield
        return
    handle = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _CANNOT_LOCK:
                raise
            logging.warning("%s cannot be locked (%s): let no other run push to it meanwhile", base, error.strerror)
        yield
    finally:
        os.close(handle)


def served(base: str) -> list[int]:
    """Numbers of the whole versions below `base`, in ascending order."""
    if not gfile.isdir(base):
        return []
    names = [name.rstrip("/") for name in gfile.listdir(base)]
    return sorted(int(name) for name in names if is_version_number(name) and is_whole(os.path.join(base, name)))


def newest_name(base: str) -> int | None:
    """The highest number below `base`, whole or not: TF Serving takes no other."""
    names = [name.rstrip("/") for name in gfile.listdir(base)] if gfile.isdir(base) else []
    return max((int(name) for name in names if is_version_number(name)), default=None)


def is_whole(model: str) -> bool:
    """Whether a SavedModel lies there."""
    return bool(gfile.exists(os.path.join(model, SAVED_MODEL)))


def digest(model: str) -> str:
    """SHA-256 over the names and contents of a SavedModel's files."""
    whole = hashlib.sha256()
    for name in sorted(_files(model)):
        content = hashlib.sha256()
        with gfile.GFile(os.path.join(model, name), "rb") as file:
            while block := file.read(1 << 22):
                content.update(block)
        whole.update(f"{name}\0{content.hexdigest()}\n".encode())
    return whole.hexdigest()


def publish(model: str, base: str, at_least: int = 1) -> int:
    """Copy a SavedModel below `base` as a new version; hold `locked(base)` where others may push.

    Args:
      at_least: lowest number allowed, so that numbers of versions that are gone are not used again.

    Returns:
      The new version's number, above all that are there.
    """
    gfile.makedirs(base)
    _remove_leftovers(base)
    taken = [int(name.rstrip("/")) for name in gfile.listdir(base) if is_version_number(name.rstrip("/"))]
    version = max([at_least, *(number + 1 for number in taken)])
    target = os.path.join(base, str(version))
    if "://" in base:
        # An object store renames by copying, in any order: write in place, the sign of a whole model last.
        copy(model, target)
    else:
        incoming = os.path.join(base, f"{_INCOMING}{version}")
        try:
            copy(model, incoming)
            gfile.rename(incoming, target)
        except Exception:
            # Most likely the disk is full: half a model must not keep what little room there is.
            with contextlib.suppress(Exception):
                gfile.rmtree(incoming)
            raise
    return version


def copy(model: str, target: str) -> None:
    """Copy a SavedModel, `saved_model.pb` last: a reader takes it for the sign of a whole model."""
    for name in sorted(_files(model), key=lambda name: name == SAVED_MODEL):
        to = os.path.join(target, name)
        gfile.makedirs(os.path.dirname(to))
        gfile.copy(os.path.join(model, name), to, overwrite=True)


def _files(model: str) -> Iterator[str]:
    root = model.rstrip("/")
    for folder, _, names in gfile.walk(root):
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), root)


def _remove_leftovers(base: str) -> None:
    for name in gfile.listdir(base):
        if name.startswith(_INCOMING):
            gfile.rmtree(os.path.join(base, name))
