"""Versions of a model in a serving directory: `<base>/<number>/saved_model.pb`.

Listing and deleting local versions does not import TensorFlow. URLs of any file system that `tf.io.gfile` supports can
be listed, and published to. TF Serving polls the directory and loads every number that appears, so a version is
written under another name and then renamed. Everywhere, also in object stores, which rename a directory object by
object, `saved_model.pb` marks a complete SavedModel: it is written last and deleted first.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from components import files

LARGEST = 2**63 - 1  # TF Serving's versions are 64-bit
SAVED_MODEL = "saved_model.pb"
# Of a version, not of a model: where and when it was pushed. The same model has the same digest without them.
CARD, CARD_JSON = (os.path.join("assets.extra", f"MODEL_CARD.{kind}") for kind in ("md", "json"))
Describe = Callable[[int], Mapping[str, str]]  # texts of a version's files by their names
_INCOMING, _WITHDRAWN = ".incoming-", ".withdrawn-"


def is_version_number(name: str) -> bool:
    """Whether TF Serving accepts a directory's name as a version: ASCII digits within 64 bits, zeros may come first."""
    return name.isascii() and name.isdecimal() and int(name) <= LARGEST


def is_complete(version: str) -> bool:
    """Whether a directory holds a complete SavedModel."""
    path = os.path.join(version, SAVED_MODEL)
    return os.path.isfile(path) if "://" not in path else bool(_gfile().exists(path))


def directories(base: str) -> dict[int, str]:
    """Paths of all versions, complete or not, by ascending number.

    If two names have the same number, such as 3 and 003, the one without zeros counts.
    """
    if "://" in base:
        names = [name.rstrip("/") for name in _gfile().listdir(base)] if _gfile().isdir(base) else []
    else:
        try:
            names = [entry.name for entry in os.scandir(base) if entry.is_dir()]
        except (FileNotFoundError, NotADirectoryError):
            names = []
    names = sorted(filter(is_version_number, names), key=lambda name: (int(name), -len(name)))
    return {int(name): os.path.join(base, name) for name in names}


def complete(base: str) -> list[int]:
    """Numbers of the complete versions, ascending."""
    return [number for number, path in directories(base).items() if is_complete(path)]


def delete(base: str, version: int) -> None:
    """Delete a local version. It is renamed first, so that no server sees a part of it.

    Raises:
      OSError: it could not be renamed and is still there, or not all of its files could be deleted.
    """
    path = Path(directories(base)[version])
    withdrawn = path.with_name(f"{_WITHDRAWN}{path.name}")
    if os.path.lexists(withdrawn):  # of a deletion that was killed
        _remove(withdrawn)
    path.rename(withdrawn)
    _remove(withdrawn)


def finish_deletions(base: str) -> list[OSError]:
    """Delete the remains of local deletions that were killed; returns the errors of those that cannot be deleted."""
    errors = []
    for path in sorted(Path(base).glob(f"{_WITHDRAWN}*")):
        try:
            _remove(path)
        except OSError as error:
            errors.append(error)
    return errors


@contextlib.contextmanager
def locked(base: str) -> Iterator[None]:
    """Lock a serving directory, which is created if missing; waits while another process pushes to it.

    The lock is on the directory itself: it leaves no file, and ends with the process. Runs of several roots may share
    a serving directory. The lock cannot be nested. Buckets cannot be locked, so one run at a time may push to one; some
    network file systems cannot either, which is logged.
    """
    _gfile().makedirs(base)
    if "://" in base:
        yield
        return
    handle = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    try:
        files.lock(handle, base)
        yield
    finally:
        os.close(handle)


def digest(model: str) -> str:
    """SHA-256 of names and contents of a SavedModel's files but its card; local ones are read without TensorFlow."""
    total = hashlib.sha256()
    for name in sorted(set(_files(model)) - {CARD, CARD_JSON}):
        content = hashlib.sha256()
        with _open(os.path.join(model, name)) as file:
            while block := file.read(1 << 22):
                content.update(block)
        total.update(f"{name}\0{content.hexdigest()}\n".encode())
    return total.hexdigest()


def holds(path: str, expected: str) -> bool:
    """Whether a path is a complete SavedModel with this digest."""
    missing: type[Exception] = FileNotFoundError
    if "://" in path:
        from tensorflow import errors

        missing = errors.NotFoundError
    try:
        return is_complete(path) and digest(path) == expected
    except missing:  # deleted meanwhile
        return False


def publish(model: str, base: str, at_least: int = 1, describe: Describe | None = None) -> int:
    """Copy a SavedModel below `base` as a new version; hold `locked(base)` if other processes may push.

    Args:
      at_least: lowest number allowed, so that numbers of deleted versions are not reused.
      describe: returns the files of the model card for the new number.

    Returns:
      The number of the new version, above all existing ones.
    """
    gfile = _gfile()
    gfile.makedirs(base)
    names = [name.rstrip("/") for name in gfile.listdir(base)] if gfile.isdir(base) else []
    for name in names:
        if name.startswith(_INCOMING):  # of a push that was killed
            gfile.rmtree(os.path.join(base, name))
    version = max([at_least, *(int(name) + 1 for name in names if is_version_number(name))])
    target = os.path.join(base, str(version))
    added = describe(version) if describe else {}
    if "://" in base:
        delete_interrupted(base)  # its number is not reused: servers may have given up on it
        copy(model, target, added)
        return version
    incoming = os.path.join(base, f"{_INCOMING}{version}")
    try:
        copy(model, incoming, added)
        files.sync(incoming)
        gfile.rename(incoming, target)
    except Exception:
        # Most likely the disk is full: free what the partial copy uses.
        with contextlib.suppress(Exception):
            gfile.rmtree(incoming)
        raise
    files.sync_directory(base)
    return version


def copy(model: str, target: str, added: Mapping[str, str] | None = None) -> None:
    """Copy a SavedModel, and add texts by their names; replaces what is at the target, as a part of another copy."""
    _clear(target)
    gfile, added = _gfile(), added or {}
    names = set(_files(model)) - set(added)
    for name in sorted(names - {SAVED_MODEL}):
        to = os.path.join(target, name)
        gfile.makedirs(os.path.dirname(to))
        gfile.copy(os.path.join(model, name), to, overwrite=True)
    for name, text in added.items():
        gfile.makedirs(os.path.dirname(os.path.join(target, name)))
        files.write(os.path.join(target, name), text)
    if SAVED_MODEL in names:
        # Not by gfile.copy: it leaves a part of the file if it fails, and an empty one if the source is missing.
        with _open(os.path.join(model, SAVED_MODEL)) as file:
            content = file.read()
        gfile.makedirs(target)
        files.write(os.path.join(target, SAVED_MODEL), content)


@contextlib.contextmanager
def writing(target: str) -> Iterator[str]:
    """Yield a local directory for the files of a SavedModel, which replaces the target after the block.

    If the block fails, or the process dies, the target is as it was before, or incomplete.
    """
    if "://" in target:
        with tempfile.TemporaryDirectory(prefix="saved-model-") as workspace:
            yield workspace
            copy(workspace, target)
        return
    partial = Path(target.rstrip("/") + ".partial")
    _clear(str(partial))  # of a process that was killed
    partial.mkdir(parents=True)
    yield str(partial)
    files.sync(partial)
    _clear(target)
    partial.rename(target)
    files.sync_directory(partial.parent)


def delete_interrupted(base: str) -> None:
    """Delete what a killed push left in a bucket; hold `locked(base)`. On local disk a push leaves no version."""
    if "://" not in base:
        return
    newest = max(complete(base), default=0)
    for number, path in directories(base).items():
        if number > newest:
            _clear(path)


def _clear(directory: str) -> None:
    """Delete a directory if it exists; the remains of a deletion that is interrupted are not complete."""
    gfile = _gfile()
    if not gfile.isdir(directory):
        return
    if is_complete(directory):
        gfile.remove(os.path.join(directory, SAVED_MODEL))
    if gfile.isdir(directory):  # in a bucket it vanishes with its last object
        gfile.rmtree(directory)


def _gfile() -> Any:
    from tensorflow.io import gfile

    return gfile


def _open(path: str) -> Any:
    return open(path, "rb") if "://" not in path else _gfile().GFile(path, "rb")


def _files(model: str) -> Iterator[str]:
    root = model.rstrip("/")
    for folder, _, names in os.walk(root, followlinks=True) if "://" not in root else _gfile().walk(root):
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), root)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()  # of a link, not its target
