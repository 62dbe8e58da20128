"""A bulk job from its input to its output: what is missing is computed, and all of it joined."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from components import lean_imports, startup
from components.command_line import counted
from components.errors import UserError
from components.models import versions
from serving.bulk import shards
from serving.bulk.lines import Task
from serving.bulk.shards import Directory, Input, Shard

_POLL_SECONDS = 1.0
_HEX_SHOWN = 12  # digits of a digest


class Stopped(Exception):
    """The pipeline failed; the shards that it finished are kept."""


@dataclass(frozen=True)
class Job:
    """A bulk job.

    Attributes:
      source: path of the input: JSON Lines.
      output: path of the output.
      model: directory of the SavedModel.
      name: of the model, with its version.
      task: what to do with each line.
      shard_lines: lines of a shard.
      beam_arguments: of the Beam pipeline.
      keeps_seed: whether a resumed job keeps the seed that it has, because that of `task` is a random one.
    """

    source: str
    output: str
    model: str
    name: str
    task: Task
    shard_lines: int
    beam_arguments: Sequence[str]
    keeps_seed: bool = False


@dataclass(frozen=True)
class Done:
    """A finished job: lines of the output, those of them that are errors, the seed, and shards that existed before."""

    lines: int
    failed: Sequence[int]
    reused: int
    shards: int


def run(job: Job, restart: bool, report: Callable[[str], None], progress: Callable[[int, int], None]) -> Done:
    """Run a job, or what is left of it.

    Args:
      job: to run.
      restart: discard what exists of the output, whatever it belongs to.
      report: is called with a line about the job before it starts.
      progress: is called with the number of finished shards and of all, while the job runs.

    Raises:
      UserError: the input cannot be read, or the output belongs to something else.
      Stopped: the pipeline failed.
    """
    if os.path.realpath(job.source) == os.path.realpath(job.output):
        raise UserError(f"The output would replace the input. Choose another --output. Received: {job.output}")
    source = shards.scan(job.source, job.shard_lines)
    directory = Directory(job.output)
    with directory.locked(lambda: report("another process works on this output: waiting for its end")):
        manifest = None if restart else directory.manifest()
        if manifest is None:
            if not restart and directory.holds_output():
                raise UserError(
                    "The output exists, and no unfinished job that could be resumed has written it. Choose another "
                    f"--output, or overwrite it with --restart. Received: --output {job.output}"
                )
            directory.clear()
        task = _same_seed(job, manifest)
        wanted = _manifest(job, task, source)
        if manifest is None:
            directory.write_manifest(wanted)
        else:
            _check(wanted, manifest, job.output)
            if manifest.get("failed") is not None and directory.holds_output():
                report(f"{job.output} is complete")
                directory.clear()  # of a job that was interrupted at its very end
                return Done(source.lines, manifest["failed"], len(source.shards), len(source.shards))
        missing = directory.missing(source.shards)
        report(_described(job, task, source, missing))
        if missing:
            _compute(job, task, directory, source, missing, progress)
        failed = directory.join(source)
        directory.write_manifest({**wanted, "failed": failed})
        directory.clear()
    return Done(source.lines, failed, len(source.shards) - len(missing), len(source.shards))


def _same_seed(job: Job, manifest: Mapping[str, Any] | None) -> Task:
    defaults = job.task.defaults
    if defaults is None or not job.keeps_seed or not manifest or not isinstance(manifest.get("seed"), int):
        return job.task
    return Task(replace(defaults, seed=manifest["seed"]))


def _manifest(job: Job, task: Task, source: Input) -> dict[str, Any]:
    return {
        "input": source.digest,
        "lines": source.lines,
        "shard_lines": job.shard_lines,
        "model": job.name,
        "model_digest": versions.digest(job.model),
        **task.described(),
    }


def _check(wanted: Mapping[str, Any], found: Mapping[str, Any], output: str) -> None:
    keys = [key for key in {**wanted, **found} if key != "failed" and wanted.get(key) != found.get(key)]
    if keys:
        changes = ", ".join(f"{key} is {_shown(wanted.get(key))} and was {_shown(found.get(key))}" for key in keys)
        raise UserError(
            "The output is that of another job, with another input, model or options. Give what it was started with "
            f"to resume it, choose another --output, or start over with --restart. Received: {changes}, in {output}"
        )


def _shown(value: Any) -> str:
    return f"{value[:_HEX_SHOWN]}..." if isinstance(value, str) and len(value) == 64 else repr(value)


def _described(job: Job, task: Task, source: Input, missing: Sequence[Shard]) -> str:
    text = f"{job.name}; {counted(source.lines, 'line')} in {counted(len(source.shards), 'shard')}"
    if kept := len(source.shards) - len(missing):
        text += f", {kept:,} of them finished before"
    return text if task.defaults is None else f"{text}; seed {task.defaults.seed}"


def _compute(
    job: Job,
    task: Task,
    directory: Directory,
    source: Input,
    missing: Sequence[Shard],
    progress: Callable[[int, int], None],
) -> None:
    outputs = {shard: directory.shard(shard) for shard in missing}
    # Ctrl-C ends the process at once: files appear complete, and Beam would print its traceback.
    with startup.importing(_interrupted), _watched(directory, source.shards, progress):
        lean_imports.beam()
        from serving.bulk import transform  # late: a finished job does not need Beam

        try:
            transform.run(job.source, outputs, job.model, task, job.beam_arguments)
        except Exception as error:
            finished = len(source.shards) - len(directory.missing(source.shards))
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise Stopped(
                f"The job ended after {finished:,} of {counted(len(source.shards), 'shard')}: {lines[-1].rstrip('.')}. "
                f"Repeat the command to resume it. Received: {job.output}"
            ) from error
    if left := directory.missing(source.shards):
        raise Stopped(
            f"The Beam runner finished without {len(left):,} of {counted(len(source.shards), 'shard')}. Repeat the "
            f"command to resume the job. Received: {job.output}"
        )


def _interrupted() -> None:
    os.write(2, b"interrupted; the same command resumes the job\n")


@contextmanager
def _watched(directory: Directory, all: Sequence[Shard], progress: Callable[[int, int], None]) -> Iterator[None]:
    """Report the number of finished shards while the block runs: workers may be on other machines."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_POLL_SECONDS):
            progress(len(all) - len(directory.missing(all)), len(all))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
