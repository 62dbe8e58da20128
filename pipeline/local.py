"""Run the pipeline on this machine: lock the root, stage the inputs, launch, push a missing version, report."""

import dataclasses
import datetime
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from components import files, lean_imports, startup
from components.errors import UserError
from components.ingest import bucket, corpora, staging, text
from components.ingest.selection import check, spans
from components.ingest.selection.facts import CorpusFacts
from pipeline import cache_keys, metadata_store
from pipeline.config.places import Places
from pipeline.config.run import Config
from pipeline.console import Screen

if TYPE_CHECKING:
    from pipeline.launch import TrainFunction
    from pipeline.report import Report


class StagedCorpus(NamedTuple):
    """A corpus that the pipeline can read.

    Attributes:
      corpus: the documents that the user named.
      facts: their size.
      directory: path of their copy, which contains its content digest.
      holdout: the same of the eval text; "" if it is a part of the corpus.
    """

    corpus: corpora.Corpus
    facts: CorpusFacts
    directory: str
    holdout: str = ""


@contextmanager
def locked(places: Places, report: Callable[[str], None]) -> Iterator[None]:
    """Lock the root; wait while another run holds the lock. The kernel releases the lock of a killed run.

    Raises:
      UserError: the root or the serving directory cannot be created or written, or belongs to another model; or the
        metadata of earlier runs is damaged.
    """
    if "://" in places.root or set("*?[") & set(places.root):
        raise UserError(
            "The root must be a local directory whose path has none of the characters * ? [, which are patterns for "
            f"Beam. Received: --root {places.root}"
        )
    places.check_names()
    try:
        for directory in (places.root, places.logs, places.schema):
            os.makedirs(directory, exist_ok=True)
        handle = open(places.lock, "w", encoding="utf-8")  # noqa: SIM115 - closed below, with the lock
    except OSError as error:
        raise UserError(
            f"The root cannot be written: {error.strerror}. Name another directory with --root, or fix its "
            f"permissions. Received: --root {places.root}"
        ) from error
    with handle:
        _check_serving(places.serving)
        waiting = f"Another run is using {places.root}; waiting until it has ended (Ctrl-C to give up) ..."
        files.lock(handle, places.root, lambda: report(waiting))
        metadata_store.check(places.metadata, report)
        yield


def _check_serving(serving: str) -> None:
    """Fail before the training, not after it, if a model could not be pushed."""
    if serving.startswith("gs://"):
        return
    if "://" in serving:
        raise UserError(
            "The serving directory must be a local one or in a bucket, gs://bucket/folder: TensorFlow opens no other "
            f"object store. Name another one with --serving-dir. Received: {serving}"
        )
    try:
        os.makedirs(serving, exist_ok=True)
        if not os.access(serving, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UserError(
            f"The serving directory cannot be written: {error.strerror}. Name another one with --serving-dir, or fix "
            f"its permissions. Received: {serving}"
        ) from error


def ingest(config: Config, places: Places) -> StagedCorpus:
    """Find, check and copy the corpus. Every error in it is raised here, before long work starts."""
    settings = config.corpus
    if bucket.is_url(settings.source) or bucket.is_url(settings.holdout or ""):
        # TensorFlow reads it. Its messages would be on the terminal: the log takes them later.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with startup.importing(), lean_imports.without_gc(), lean_imports.hidden("matplotlib"):
            import tensorflow  # noqa: F401
    found_by = corpora.DEFAULT_CACHE, settings.suffixes, settings.column
    corpus = spans.resolve(settings.source, settings.window, settings.checksum, *found_by)
    holdout = check.find_holdout(settings.holdout, *found_by) if settings.holdout else None
    root = Path(places.root).resolve()
    files = (*corpus.files, *(holdout.files if holdout else ()))
    if inside := [str(file.path) for file in files if root in file.path.resolve().parents]:
        raise UserError(
            f"The corpus contains output of earlier runs below the root {root}: for example {inside[0]}. Name a "
            f"narrower corpus, or another root with --root. Received: --corpus {settings.source}"
        )
    cutting = settings.passage_length, settings.eval_fraction, settings.test_fraction, settings.documents
    reading = text.Reading(settings.column, settings.normalization, settings.fold_case)
    facts = check.check(corpus, settings.min_chars, *cutting, reading, holdout)
    directory, *held_out = (
        str(staging.stage(one, Path(places.corpus))) for one in (corpus, holdout) if one is not None
    )
    return StagedCorpus(corpus, facts, directory, *held_out)


def run(
    config: Config, places: Places, screen: Screen, staged: StagedCorpus, train: "TrainFunction | None" = None
) -> "Report":
    """Run the pipeline on a staged corpus and return its report.

    Args:
      train: trains in place of this process, as in `pipeline.launch.launch`.
    """
    _load_frameworks(config, screen)
    from components.models import registry
    from pipeline import report
    from pipeline.create import Inputs, run_key
    from pipeline.launch import Outcome, launch
    from pipeline.page import local as page
    from pipeline.runs import record

    key = run_key(config, staged.directory, staged.holdout)
    newest = registry.newest_other(places.registry, run_key=key).entry
    newest_digest = newest.digest if newest else ""
    inputs = Inputs(
        staged.directory,
        staged.corpus.label,
        stage_schema(places),
        key,
        newest_digest,
        staged.holdout,
        staged.corpus.properties(staged.facts.eval_digest),
    )
    name = datetime.datetime.now().isoformat()
    known = {
        "corpus": staged.corpus.label,
        "spans": ",".join(staged.corpus.spans),
        "run_key": key,
        "training_key": run_key(config, staged.directory, staged.holdout, export=False),
    }
    with record.recorded(places.metadata, name, config.model_name, **known) as finish:
        outcomes: dict[str, Outcome] = {}
        described = places, name, config.model_name, staged.corpus.label, outcomes
        try:
            launch(config, places, inputs, screen, name, outcomes, train)
            result = report.collect(config, places, staged.corpus.label, staged.facts, outcomes)
            result = report.with_learning_curve(report.repair_serving(result, places, key), places, key)
        except BaseException as error:
            if written := page.write(*described, error):
                screen.print(f"report: {written}")
            raise
        result = dataclasses.replace(result, page=page.write(*described, **result.decision()))
        finish(result.record())
    return result


def _load_frameworks(config: Config, screen: Screen) -> None:
    """Import TensorFlow and TFX, and with them the modules that need them. This takes seconds."""
    with screen.component("start"), startup.importing(screen.interrupted):
        screen.progress("loading TensorFlow and TFX", lasting=False)
        lean_imports.frameworks()
        import pipeline.launch
        import pipeline.report  # noqa: F401
        from trainer.hardware import split_cpu

        if config.training.logical_cpus > 1:
            split_cpu(config.training.logical_cpus)


def stage_schema(places: Places) -> str:
    """Copy the curated schema to a path that changes with its content, because TFX's cache compares paths only."""
    content = (cache_keys.ROOT / "components" / "validate" / "schema" / "schema.pbtxt").read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:16]
    target = Path(places.schema) / digest / "schema.pbtxt"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write(target, content)
    return str(target)
