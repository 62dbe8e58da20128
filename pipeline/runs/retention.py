"""Which artifacts and directories of a root no kept run needs: a pure function of its history and of what is on disk.

A kept run needs the artifacts that its components read or have as outputs, also those that came from the cache, and
everything that they were made from. So the cache finds for a repetition of that run what it would have found before.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.runs.history import LAST, Artifact, History, Run, newest_first

_SLACK = 10.0  # seconds by which clocks of machines and file systems may differ
DELETED = "DELETED"
EXPORT = "export-"  # prefix of the exports in a directory of checkpoints


@dataclass(frozen=True)
class Training:
    """A directory below `checkpoints`: of a training, or of a search for hyperparameters.

    Attributes:
      path: of the directory.
      written: when its newest file was written, seconds since 1970.
      parts: path of each file and directory in it, with the same time.
    """

    path: str
    written: float
    parts: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Disk:
    """What is on disk besides artifacts.

    Attributes:
      pipeline: directory of the artifacts.
      trainings: directories below `checkpoints`.
      corpora: staged corpora.
      exported: by the number of a Model artifact, the path of the export that it is a copy of.
    """

    pipeline: str
    trainings: tuple[Training, ...] = ()
    corpora: tuple[str, ...] = ()
    exported: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class Blessed:
    """An entry of a registry whose model still exists.

    Attributes:
      export: path of the trained model.
      run_key: of the run that led to it.
      digest: of its files.
      data: digest of the data that it was trained on; None: not stated.
    """

    export: str
    run_key: str
    digest: str
    data: str | None


@dataclass(frozen=True)
class Registered:
    """What later runs may need of a model's registry.

    Attributes:
      model: name of the model.
      run_key: of the run that led to the model blessed last.
      exports: models that a run may compare with or start from.
    """

    model: str
    run_key: str
    exports: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Choice:
    """What stays and what can be deleted.

    Attributes:
      kept: the runs that are kept, oldest first.
      artifacts: that no kept run needs.
      directories: with checkpoints, exports and corpora that no kept run needs.
    """

    kept: tuple[Run, ...]
    artifacts: tuple[Artifact, ...]
    directories: tuple[str, ...]


def registered(model: str, entries: Iterable[Blessed]) -> Registered:
    """Find what later runs may need of a registry, and read no more of its entries than that takes.

    A run compares its model with the newest one that has another run key or another digest, and starts from the newest
    one that was trained on other data. So of each of the three, the newest entries are needed until there are two
    values.

    Args:
      model: its name.
      entries: newest first.
    """
    run_key, exports = "", set()
    found: tuple[set[str], ...] = (set(), set(), set())
    for entry in entries:
        run_key = run_key or entry.run_key
        for values, value in zip(found, (entry.run_key, entry.digest, entry.data)):
            if value is not None and value not in values and len(values) < 2:
                values.add(value)
                exports.add(entry.export)
        if all(len(values) == 2 for values in found):
            break
    return Registered(model, run_key, frozenset(exports))


def choose(history: History, disk: Disk, registered: Sequence[Registered], keep: int) -> Choice:
    """Choose what can be deleted so that the newest `keep` runs of each model keep all they need.

    Example: tests/pipeline/runs/test_retention.py.

    Args:
      keep: number of runs, at least 1. Kept as well are the newest finished run, with the runs after it, the run of
        the model blessed last, and earlier runs that a kept one resumes. Without a finished run, all are kept.
    """
    kept = _kept(history.runs, registered, keep)
    needed = _needed(history, kept)
    live = {number for number in needed if number in history.artifacts and history.artifacts[number].state != DELETED}
    exports = {path for one in registered for path in one.exports}
    in_use = {history.artifacts[number].uri for number in live} | exports
    above = {folder for path in in_use for folder in _folders(path)}
    artifacts = tuple(
        one
        for one in history.artifacts.values()
        if one.id not in live
        and _is_below(one.uri, disk.pipeline)
        and one.uri not in above
        and in_use.isdisjoint(_folders(one.uri))
    )
    copied = {path for number, path in disk.exported if number in needed}
    directories = [*_trainings(history, kept, needed, disk, copied, exports), *_corpora(history, kept, disk)]
    return Choice(kept, artifacts, tuple(directories))


def _kept(runs: Sequence[Run], registered: Sequence[Registered], keep: int) -> tuple[Run, ...]:
    kept: set[str] = set()
    for model in {run.model for run in runs}:
        newest = newest_first(run for run in runs if run.model == model)
        chosen = newest[: max(keep, len(_until_finished(newest)))]
        # A run that did not finish resumes the training of an earlier run with the same key, or uses its result.
        resumed = {run.record.get("training_key") for run in chosen if not run.finished} - {None}
        blessed = {one.run_key for one in registered if one.model == model} - {""}
        groups = [[run for run in newest if run.record.get("training_key") == key] for key in resumed]
        groups += [[run for run in newest if _run_key(run) == key] for key in blessed]
        kept |= {run.name for group in ([*chosen], *map(_until_finished, groups)) for run in group}
    return tuple(run for run in runs if run.name in kept)


def _until_finished(newest: Sequence[Run]) -> list[Run]:
    """Return the runs up to the first one that finished."""
    finished = next((place for place, run in enumerate(newest, 1) if run.finished), len(newest))
    return list(newest[:finished])


def _run_key(run: Run) -> str:
    last = run.execution(LAST)  # runs of earlier releases recorded it there only
    return str(run.record.get("run_key") or (last.properties.get("run_key", "") if last else ""))


def _needed(history: History, kept: Sequence[Run]) -> set[int]:
    """Return the numbers of the artifacts of the kept runs, and of those that they were made from."""
    sources: dict[int, set[int]] = {}
    for execution in (execution for run in history.runs for execution in run.executions):
        for output in execution.outputs:
            sources.setdefault(output, set()).update(execution.inputs)
    waiting = {number for run in kept for one in run.executions for number in one.inputs | one.outputs}
    needed: set[int] = set()
    while waiting:
        needed |= waiting
        waiting = {source for number in waiting for source in sources.get(number, ())} - needed
    return needed


def _trainings(
    history: History, kept: Sequence[Run], needed: set[int], disk: Disk, copied: set[str], exports: set[str]
) -> list[str]:
    """Choose among checkpoints and exports.

    A directory belongs to the runs whose Model is a copy of an export in it, and to the run in whose time its newest
    file was written: a killed run names no export. A directory older than all runs is not known, and stays.
    """
    spans = _spans(history, kept, needed)
    first = min((run.started for run in history.runs), default=0.0) - _SLACK

    def in_time(written: float) -> bool:
        return written < first or any(start <= written <= end for start, end in spans)

    chosen: list[str] = []
    for training in disk.trainings:
        if in_time(training.written) or any(_is_below(path, training.path) for path in copied):
            chosen += [
                path
                for path, written in training.parts
                if os.path.basename(path).startswith(EXPORT) and path not in copied | exports and not in_time(written)
            ]
        elif any(_is_below(path, training.path) for path in exports):
            chosen += [path for path, _ in training.parts if path not in exports]
        else:
            chosen.append(training.path)
    return chosen


def _spans(history: History, kept: Sequence[Run], needed: set[int]) -> list[tuple[float, float]]:
    """Return the times in which kept runs, or executions that produced what they need, may have written files."""
    starts = [run.started for run in history.runs]
    spans = [
        (run.started - _SLACK, min((start for start in starts if start > run.started), default=float("inf")))
        for run in kept
    ]
    for one in (one for run in history.runs for one in run.executions):
        if one.state != "CACHED" and one.outputs & needed:
            spans.append((one.started - _SLACK, one.ended + _SLACK))
    return spans


def _corpora(history: History, kept: Sequence[Run], disk: Disk) -> list[str]:
    """Choose the staged corpora that only runs named which are not kept."""
    every, ours = _values(history.runs), _values(kept)
    return [path for path in disk.corpora if os.path.basename(path) in every and os.path.basename(path) not in ours]


def _values(runs: Iterable[Run]) -> str:
    """Join the parameters that name corpora; the names of their directories are digests."""
    executions = (one for run in runs for one in run.executions if one.node.endswith("ExampleGen"))
    return "\n".join(str(value) for one in executions for value in one.properties.values())


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _folders(path: str) -> set[str]:
    """Return the path and all folders above it."""
    parts = path.split("/")
    return {"/".join(parts[:count]) for count in range(1, len(parts) + 1)}
