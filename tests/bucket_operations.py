"""Operations on a bucket and what they return, as JSON: the double must behave as TensorFlow's own client does."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tensorflow.io import gfile

_BUCKET = "gs://bucket/"


def observed(folder: Path) -> list[Any]:
    """Call every function of `tf.io.gfile` on an empty bucket; returns results, or names of exceptions.

    Args:
      folder: an empty local directory.
    """
    found: list[Any] = []

    def note(function: Callable[..., Any] | str, *paths: str, **options: Any) -> None:
        name = function if isinstance(function, str) else function.__name__
        function = getattr(gfile, function) if isinstance(function, str) else function
        try:
            result = function(*(path.format(b=_BUCKET, d=folder) for path in paths), **options)
        except Exception as error:
            result = type(error).__name__
        shown = sorted(result) if isinstance(result, list) and all(isinstance(one, str) for one in result) else result
        found.append([name, *paths, shown])

    def write(path: str, content: str = "content") -> None:
        with gfile.GFile(path.format(b=_BUCKET, d=folder), "w") as file:
            file.write(content)

    def read(path: str) -> list[Any]:
        with gfile.GFile(path, "rb") as file:
            return [file.read(1).decode() + file.read().decode(), file.size()]

    def stat(path: str) -> list[Any]:
        return [(status := gfile.stat(path)).length, status.is_directory]

    def walk(path: str) -> list[Any]:
        return [[top, sorted(folders), sorted(names)] for top, folders, names in gfile.walk(path)]

    def fail(path: str) -> None:
        with gfile.GFile(path, "w") as file:
            file.write("half")
            raise ValueError

    for name in ("a", "b/c", "b/d"):
        write("{b}one/" + name, name)
    for path in ("", "one", "one/", "one/b", "one/a", "one/a/", "on", "one/b/c"):
        for function in ("isdir", "listdir", *(("exists", stat) if path else ())):
            note(function, "{b}" + path)
    for pattern in ("*/*", "one/*", "one/b/*", "one/*/c", "none/*", "one/?"):
        note("glob", "{b}" + pattern)
    note(walk, "{b}one")
    for function in ("listdir", "remove", "rmtree", stat, read, walk):
        note(function, "{b}none")
    note("remove", "{b}one/b")
    for function in ("copy", "rename"):
        note(function, "{b}none", "{b}other")
        note(function, "{b}one/a", "{b}one/b/c")
    note("copy", "{b}one/a", "{b}one/b/c", overwrite=True)
    note(read, "{b}one/b/c")
    note("makedirs", "{b}deep/er")
    note("makedirs", "{b}deep/er")
    note(walk, "{b}deep")
    write("{b}deep/er/file")
    note("remove", "{b}deep/er/file")
    note("isdir", "{b}deep/er")
    note("rmtree", "{b}deep")
    note("exists", "{b}deep/er")
    note("rename", "{b}one", "{b}two")
    note(walk, "{b}two")
    note("rename", "{b}two/a", "{b}two/b/d", overwrite=True)
    note(walk, "{b}two")
    write("{d}/local", "of the disk")
    note("rename", "{d}/local", "{b}up")
    note("copy", "{d}/local", "{b}up")
    note("copy", "{b}up", "{d}/down")
    note("copy", "{b}up", "{d}/nowhere/down")
    write("{b}up", "new")
    write("{b}empty", "")
    note(fail, "{b}half")
    for name in ("up", "empty", "half"):
        note(read, "{b}" + name)
    note(read, "{d}/down")
    return found


if __name__ == "__main__":
    print(json.dumps(observed(Path(sys.argv[1]))))
