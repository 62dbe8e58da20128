"""A test double of an object store behind `tf.io.gfile`, in memory: `Bucket.install(monkeypatch)`, then `gs://...`.

It has objects and no directories: a directory exists while an object has its prefix. Its operations are those of
TensorFlow's own client: a file appears when it is closed, and renaming or deleting a directory is a series of
operations on single objects, here in an arbitrary order. The process that uses it can die between any two of them; code
that cleans up after an exception does not run then, so nothing works until `restart`.

TensorFlow's kernels do not see it: `tf.saved_model.save`, checkpoints and TFRecords need a local directory.
"""

import fnmatch
import io
import os
import random
import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

SCHEME = "gs://"
_ONE_PATH = ("exists", "isdir", "listdir", "walk", "glob", "stat", "makedirs", "mkdir", "remove", "rmtree")


class Died(BaseException):
    """The process that used the bucket was killed; like SIGKILL, no `except Exception` catches it."""


class Bucket:
    """Objects by their URL.

    Example: `test_rename_of_a_directory_that_dies_leaves_two_parts` in tests/test_bucket.py.

    Attributes:
      objects: content by URL, without directories.
      operations: objects written or deleted since the last `restart`.
    """

    def __init__(self, placeholders: bool = False) -> None:
        """Create an empty store.

        Args:
          placeholders: whether `makedirs` leaves an empty object `directory/`, as TensorFlow's client of Google Cloud
            Storage does; other stores keep no trace of an empty directory.
        """
        self.placeholders = placeholders
        self.objects: dict[str, bytes] = {}
        self.operations = 0
        self._limit: int | None = None
        self._dead = False
        self._order = random.Random(0)
        self._changed: dict[str, int] = {}  # by URL; missing for objects that a test has put there itself

    @classmethod
    def install(cls, monkeypatch: pytest.MonkeyPatch, placeholders: bool = False) -> "Bucket":
        """Create a store and let `tf.io.gfile` use it for its URLs."""
        from tensorflow.io import gfile

        bucket = cls(placeholders)
        own = {name: getattr(bucket, name) for name in _ONE_PATH}
        own["GFile"] = lambda path, mode="r": _File(bucket, path, mode)
        for name, function in own.items():
            monkeypatch.setattr(gfile, name, bucket._choice(function, getattr(gfile, name)))
        bucket._open = gfile.GFile
        for name in ("copy", "rename"):
            monkeypatch.setattr(gfile, name, bucket._choice(getattr(bucket, name), getattr(gfile, name), both=True))
        return bucket

    def die_after(self, operations: int) -> None:
        """Let the process die when it writes or deletes one object more than this number."""
        self.restart()
        self._limit = operations

    def restart(self) -> None:
        """Let a new process use the bucket, which does not die."""
        self._dead, self._limit, self.operations = False, None, 0

    def killed_in(self, operation: Callable[[], object]) -> Iterator[int]:
        """Let an operation die after each number of object operations.

        The operation is first done undisturbed, to count them. Before every death the bucket is as it was in the
        beginning, and after it a new process may use it.

        Yields:
          The number of objects that had been written or deleted.
        """
        before = dict(self.objects)
        self.restart()
        operation()
        count = self.operations
        assert count > 0, "the operation does nothing in the bucket"
        for number in range(count):
            self.objects = dict(before)
            self.die_after(number)
            with pytest.raises(Died):
                operation()
            self.restart()
            yield number

    def tree(self, directory: str) -> dict[str, bytes]:
        """Return the contents of the objects below a directory by relative path, without placeholders."""
        prefix = _folder(directory)
        found = {url.removeprefix(prefix): content for url, content in self.objects.items() if url.startswith(prefix)}
        return {name: content for name, content in found.items() if name and not name.endswith("/")}

    # What follows has the names, the parameters and the errors of tf.io.gfile.

    def exists(self, path: str) -> bool:
        self._alive()
        return path in self.objects or self.isdir(path)

    def isdir(self, path: str) -> bool:
        self._alive()
        if path in self.objects and not path.endswith("/"):
            return False
        is_bucket = "/" not in path.removeprefix(SCHEME).rstrip("/")
        return is_bucket or any(url.startswith(_folder(path)) for url in self.objects)

    def listdir(self, path: str) -> list[str]:
        self._alive()
        if not self.isdir(path):
            raise _error("NotFoundError", f"Could not find directory {path}")
        rests = [url.removeprefix(_folder(path)) for url in self.objects if url.startswith(_folder(path))]
        return sorted({re.sub("(?<=/).*", "", rest, flags=re.DOTALL) for rest in rests if rest})

    def walk(
        self, top: str, topdown: bool = True, onerror: object = None
    ) -> Iterator[tuple[str, list[str], list[str]]]:
        if not self.isdir(top):
            return
        names = self.listdir(top)
        folders = [name for name in names if name.endswith("/")]
        yield top, folders, [name for name in names if not name.endswith("/")]
        for name in folders:
            yield from self.walk(os.path.join(top, name))

    def glob(self, pattern: str) -> list[str]:
        self._alive()
        parts = pattern.rstrip("/").split("/")
        found = set()
        for url in self.objects:
            names = url.rstrip("/").split("/")
            if len(names) >= len(parts) and all(map(fnmatch.fnmatchcase, names, parts)):
                found.add("/".join(names[: len(parts)]))
        return sorted(found)

    def stat(self, path: str) -> SimpleNamespace:
        self._alive()
        if not self.exists(path):
            raise _error("NotFoundError", path)
        length, changed = len(self.objects.get(path, b"")), self._changed.get(path, 0)
        return SimpleNamespace(length=length, mtime_nsec=changed, is_directory=self.isdir(path))

    def makedirs(self, path: str) -> None:
        self._alive()
        parts = _folder(path).removeprefix(SCHEME).split("/")[:-1]
        for count in range(2, len(parts) + 1):
            folder = SCHEME + "/".join(parts[:count]) + "/"
            if self.placeholders and not self.isdir(folder):
                self._put(folder, b"")

    mkdir = makedirs

    def remove(self, path: str) -> None:
        self._alive()
        if path not in self.objects:
            raise _error("NotFoundError", path)
        self._delete(path)

    def rmtree(self, path: str) -> None:
        self._alive()
        if not self.isdir(path):
            raise _error("NotFoundError", path)
        for url in self._below(path):
            self._delete(url)

    def copy(self, src: str, dst: str, overwrite: bool = False) -> None:
        self._alive()
        self._require_free(dst, overwrite)
        with self._open(dst, "wb") as target, self._open(src, "rb") as source:  # a missing source leaves an empty file
            target.write(source.read())

    def rename(self, src: str, dst: str, overwrite: bool = False) -> None:
        self._alive()
        if not (src.startswith(SCHEME) and dst.startswith(SCHEME)):
            raise _error("UnimplementedError", f"Renaming {src} to {dst} not implemented")
        self._require_free(dst, overwrite)
        if not self.exists(src):
            raise _error("NotFoundError", src)
        folder = self.isdir(src)
        for url in self._below(src) if folder else [src]:
            self._put(_folder(dst) + url.removeprefix(_folder(src)) if folder else dst, self.objects[url])
            self._delete(url)

    def _choice(self, own: Callable[..., Any], other: Callable[..., Any], both: bool = False) -> Callable[..., Any]:
        def chosen(*arguments: Any, **named: Any) -> Any:
            paths = [os.fspath(path) for path in arguments[: 1 + both]]
            is_own = any(path.startswith(SCHEME) for path in paths)
            return own(*paths, *arguments[1 + both :], **named) if is_own else other(*arguments, **named)

        return chosen

    def _below(self, directory: str) -> list[str]:
        urls = sorted(url for url in self.objects if url.startswith(_folder(directory)))
        self._order.shuffle(urls)
        return urls

    def _require_free(self, path: str, overwrite: bool) -> None:
        from tensorflow.io import gfile

        if not overwrite and gfile.exists(path):
            raise _error("AlreadyExistsError", path)

    def _alive(self, operations: int = 0) -> None:
        if operations and self.operations == self._limit:
            self._dead = True
        if self._dead:
            raise Died
        self.operations += operations

    def _put(self, url: str, content: bytes) -> None:
        self._alive(operations=1)
        self.objects[url] = content
        self._changed[url] = max(self._changed.values(), default=0) + 1

    def _delete(self, url: str) -> None:
        self._alive(operations=1)
        del self.objects[url]


class _File(io.BytesIO):
    """A `GFile`. Writing creates the object when the file is closed, even after an exception."""

    def __init__(self, bucket: Bucket, path: str, mode: str) -> None:
        bucket._alive()
        self._bucket, self._path, self._mode = bucket, path, mode
        if "w" not in mode and path not in bucket.objects:
            raise _error("NotFoundError", path)
        super().__init__(b"" if "w" in mode else bucket.objects[path])
        if "a" in mode:
            self.seek(0, os.SEEK_END)

    def size(self) -> int:
        return len(self.getvalue())

    def read(self, n: int | None = -1) -> Any:
        return self._text(super().read(n))

    def readline(self, n: int | None = -1) -> Any:
        return self._text(super().readline(n))

    def __next__(self) -> Any:
        return self._text(super().__next__())

    def write(self, content: Any) -> int:
        return super().write(content.encode() if isinstance(content, str) else content)

    def close(self) -> None:
        if not self.closed:
            content = self.getvalue()
            super().close()
            if "r" not in self._mode:
                self._bucket._put(self._path, content)

    def __del__(self) -> None:
        """Leave the bucket as it is: a file that was never closed was never written."""

    def _text(self, content: bytes) -> Any:
        return content if "b" in self._mode else content.decode()


def _folder(path: str) -> str:
    return path.rstrip("/") + "/"


def _error(name: str, message: str) -> Exception:
    from tensorflow import errors

    error: Exception = getattr(errors, name)(None, None, message)
    return error
