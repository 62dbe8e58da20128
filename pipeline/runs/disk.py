"""What is on disk below a root: sizes, checkpoints, corpora, and the models that the registries name."""

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator

from components.models import original, registry
from pipeline.config.places import Places
from pipeline.runs import retention
from pipeline.runs.history import Artifact
from pipeline.runs.retention import EXPORT, Blessed, Disk, Registered, Training

HIDDEN = ".deleted-"  # prefix of a directory that is being deleted
# Names of the directories that runs make below `checkpoints` and `corpus`; others are not touched.
_OURS = re.compile(r"(tuner-)?[0-9a-f]{16}")
_TRAINED_ON = os.path.join("assets.extra", "trained_on.json")  # as `trainer.warm_start` writes it into an export


def read(places: Places, artifacts: Iterable[Artifact]) -> Disk:
    """List what there is besides artifacts. Example: tests/pipeline/runs/test_disk.py."""
    trainings = []
    for path in _ours(places.checkpoints):
        parts = tuple((part, _written(part)) for part in _entries(path))
        newest = max((written for _, written in parts), default=None)
        trainings.append(Training(path, _written(path) if newest is None else newest, parts))
    exported = []
    for one in artifacts:
        with contextlib.suppress(OSError, UnicodeDecodeError), open(original.place(one.uri), encoding="utf-8") as file:
            exported.append((one.id, _here(places, file.read())))
    return Disk(places.pipeline, tuple(trainings), tuple(_ours(places.corpus)), tuple(exported))


def registered(places: Places) -> list[Registered]:
    """Read the registries of all models of a root. Example: tests/pipeline/runs/test_disk.py."""
    directories = _entries(os.path.dirname(places.registry))
    return [retention.registered(os.path.basename(path), _blessed(places, path)) for path in directories]


def _blessed(places: Places, directory: str) -> Iterator[Blessed]:
    for entry in reversed(registry.entries(directory)):
        if path := entry.found_at():  # reads the model
            yield Blessed(_here(places, entry.model), entry.run_key, entry.digest, _trained_on(path))


def unfinished_deletions(places: Places) -> list[str]:
    """List what remains of deletions that were killed."""
    parents = [places.checkpoints, places.corpus, *_ours(places.checkpoints)]
    return [path for parent in parents for path in _entries(parent, hidden=True)]


def size(path: str) -> int:
    """Return the bytes of all files below a path, or of a file."""
    return sum(status.st_size for status in _files(path))


def _here(places: Places, export: str) -> str:
    """Return the path of an export, also if the root has been moved or is named by another path since."""
    directory, name = os.path.split(export.rstrip("/"))
    if not name.startswith(EXPORT):
        return os.path.realpath(export)
    return os.path.join(places.checkpoints, os.path.basename(directory), name)


def _trained_on(model: str) -> str | None:
    if "://" in model:  # a version in a bucket, of which no local copy is left
        return None
    try:
        with open(os.path.join(model, _TRAINED_ON), encoding="utf-8") as file:
            return str(json.load(file)["data"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _written(path: str) -> float:
    """Return when the newest file below a path was written; the directory's own time if there is no file."""
    times = [status.st_mtime for status in _files(path)]
    return max(times) if times else os.lstat(path).st_mtime


def _files(path: str) -> Iterator[os.stat_result]:
    if not os.path.isdir(path) or os.path.islink(path):
        with contextlib.suppress(FileNotFoundError):
            yield os.lstat(path)
        return
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                yield os.lstat(os.path.join(folder, name))


def _ours(directory: str) -> list[str]:
    return [path for path in _entries(directory) if _OURS.fullmatch(os.path.basename(path))]


def _entries(directory: str, hidden: bool = False) -> list[str]:
    """Return the paths in a directory, without hidden ones or only those that are being deleted."""
    try:
        names = sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []
    wanted = [name for name in names if (name.startswith(HIDDEN) if hidden else not name.startswith("."))]
    return [os.path.join(directory, name) for name in wanted]
