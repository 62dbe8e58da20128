"""What a run has published below its root, compared with that of undisturbed runs; `kill_runs.py` uses it.

Published is what other programs or later runs take for complete: artifacts that ML Metadata calls live, versions in
the serving directory, entries of the registry, finished exports, and the copies of corpus and schema.
"""

import contextlib
import fcntl
import hashlib
import json
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from components.models import versions

MODEL = "char_rnn"
_LIVE = 2  # `LIVE` in ml_metadata.proto.metadata_store_pb2.Artifact.State
_PNG_END = b"IEND\xaeB`\x82"
# Files that vary in number: their times are in their names, and a resumed training writes one more.
_EVENTS = re.compile(r"events\.out\.tfevents\..*")
# In names: numbers of executions and versions, times of logs and reports, and digests of paths.
_NUMBER = re.compile(r"^\d+$|\d{8}-\d{6}(?=\.(?:log|html)$)|(?<=-)[0-9a-f]{8}(?=\.png$)")


@dataclass(frozen=True)
class File:
    """Size in bytes, and SHA-256; "" where undisturbed runs differ, as in the file of a graph or with paths in it."""

    size: int
    digest: str


Files = dict[str, File]  # by path in a directory


@dataclass(frozen=True)
class Expected:
    """What undisturbed runs leave.

    Attributes:
      published: kinds of directories, for example "Trainer/model" or "serving", with their files.
      names: all paths below the root, with numbers and times replaced.
      entry: keys of an entry of the registry.
    """

    published: dict[str, Files]
    names: frozenset[str]
    entry: frozenset[str]


def expected(roots: list[Path]) -> Expected:
    """Return what several undisturbed runs have in common."""
    runs = [{kind: _files(path) for kind, path in _published(root)} for root in roots]
    entries = [json.loads(path.read_text()) for root in roots for path in _entries(root)]
    known = frozenset(name for root in roots for name in names(root))
    return Expected({kind: _common([run[kind] for run in runs]) for kind in runs[0]}, known, frozenset(entries[0]))


def faults(root: Path, wanted: Expected) -> list[str]:
    """Return what is incomplete or wrong among the published things of a root; a killed run may have published few."""
    found = [fault for kind, path in _published(root) for fault in _differences(kind, path, wanted.published)]
    found += [fault for path in _entries(root) for fault in _entry_faults(path, root, wanted)]
    found += [f"{plot}: not a complete PNG file" for plot in root.glob("reports/*.png") if not _is_png(plot)]
    with contextlib.suppress(FileNotFoundError), (root / ".lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found.append(f"{lock.name}: still locked")
    return found


def final_faults(root: Path, wanted: Expected) -> list[str]:
    """Return the faults of a root whose last run ended by itself: nothing is missing, and nothing is left over."""
    found = faults(root, wanted)
    kinds = [kind for kind, _ in _published(root)]
    found += [f"{kind}: not published" for kind in wanted.published if kind not in kinds]
    served, registered = (
        sorted(path.name for path in _listed(root / kind / MODEL)) for kind in ("serving", "registry")
    )
    if (served, registered) != (["1"], ["1.json"]):
        found.append(f"one version and its entry are expected. Found: {served} and {registered}")
    return found + [f"{name}: left over" for name in sorted(names(root) - wanted.names)]


def names(root: Path) -> set[str]:
    """Return all paths below a root, without numbers of executions and times, but with those of unknown executions."""
    live = _live_artifacts(root / "metadata.db")
    found = {str(path.relative_to(root)) for path in root.glob("pipeline/*/[!.]*/*") if str(path) not in live}
    for path in root.rglob("*"):
        parts = path.relative_to(root).parts
        found.add("/".join("events" if _EVENTS.fullmatch(part) else _NUMBER.sub("N", part) for part in parts))
    return found


def _published(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the kind and the directory of everything that is published below a root, whether or not it exists."""
    for uri in _live_artifacts(root / "metadata.db"):
        yield "/".join(Path(uri).relative_to(root / "pipeline").parts[:2]), Path(uri)
    for kind, directories in {
        "serving": [path for path in _listed(root / "serving" / MODEL) if versions.is_version_number(path.name)],
        "export": [path for path in root.glob("checkpoints/*/export-*") if path.suffix != ".partial"],
        "corpus": [path for path in _listed(root / "corpus") if not path.name.startswith(".")],
        "schema": _listed(root / "schema"),
    }.items():
        for directory in directories:
            yield kind, directory


def _live_artifacts(store: Path) -> list[str]:
    if not store.exists():
        return []
    with tempfile.TemporaryDirectory() as directory:
        # A copy, with the journal of an interrupted transaction: reading rolls it back, which is the next run's task.
        for file in store.parent.glob(f"{store.name}*"):
            shutil.copy(file, directory)
        with contextlib.closing(sqlite3.connect(Path(directory, store.name))) as database:
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'Artifact'").fetchall():
                return []
            return [row[0] for row in database.execute("SELECT uri FROM Artifact WHERE state = ?", [_LIVE])]


def _listed(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []


def _entries(root: Path) -> list[Path]:
    return [path for path in _listed(root / "registry" / MODEL) if path.suffix == ".json"]


def _files(directory: Path) -> Files:
    found = {}
    for path in directory.rglob("*"):
        if _EVENTS.fullmatch(path.name):
            found[str(path.relative_to(directory).with_name("events"))] = File(0, "")
        elif path.is_file():
            content = path.read_bytes()
            found[str(path.relative_to(directory))] = File(len(content), hashlib.sha256(content).hexdigest())
    return found


def _common(runs: list[Files]) -> Files:
    return {
        name: file if all(run[name] == file for run in runs) else File(file.size, "") for name, file in runs[0].items()
    }


def _differences(kind: str, path: Path, published: Mapping[str, Files]) -> list[str]:
    if kind not in published:
        return [f"{path}: no undisturbed run publishes this"]
    if not path.is_dir():
        return [f"{path}: missing, but published"]
    wanted, found = published[kind], _files(path)
    faults = [f"{path / name}: missing" for name in wanted if name not in found]
    faults += [f"{path / name}: unexpected" for name in found if name not in wanted]
    for name in wanted.keys() & found.keys():
        one, other = wanted[name], found[name]
        if one.digest not in ("", other.digest):
            faults.append(f"{path / name}: its content differs from that of undisturbed runs")
        elif abs(one.size - other.size) > 0.01 * one.size + 64:  # paths in a file have different lengths
            faults.append(f"{path / name}: {other.size} bytes and not {one.size}")
    return faults


def _entry_faults(path: Path, root: Path, wanted: Expected) -> list[str]:
    try:
        entry = json.loads(path.read_text())
    except ValueError as error:
        return [f"{path}: not readable: {error}"]
    if not isinstance(entry, dict) or entry.keys() != wanted.entry:
        return [f"{path}: not a complete entry. Found: {entry}"]
    served = root / "serving" / MODEL / path.stem
    if (str(entry["version"]), entry["served"]) != (path.stem, str(served)):
        return [f"{path}: names another version. Found: {entry}"]
    if not versions.is_complete(entry["served"]) or versions.digest(entry["served"]) != entry["digest"]:
        return [f"{path}: its version is missing or has another digest"]
    return []


def _is_png(path: Path) -> bool:
    return path.read_bytes().endswith(_PNG_END)
