"""Run the pipeline on this machine: lock the root, stage the inputs, launch, push what is missing, sum up."""

import errno
import fcntl
import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from components import files, lean_imports, startup
from components.errors import UserError
from components.ingest import corpora, staging
from pipeline import sources
from pipeline.config.places import Places
from pipeline.config.run import Config
from pipeline.console import ProgressHandler, Screen

if TYPE_CHECKING:
    from pipeline.report import Report

# Newer Beams would first try to download Prism; older ones know this runner by its full name only.
# In this process, so without the source package of itself that TFX would otherwise make for remote workers, for every
# component anew, and leave in the temporary folder. Any image keeps it from that; none is used.
LOCAL_BEAM = ("--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner", "--sdk_container_image=none")


@contextmanager
def locked(places: Places, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the root alone; wait while another run has it. The kernel lets go of a killed run's lock.

    Raises:
      UserError: the root or the serving directory cannot be made or written.
    """
    if "://" in places.root or set("*?[") & set(places.root):
        raise UserError(
            "The root must be a local directory without any of the characters * ? [ in its path, which Beam takes for "
            f"patterns. Received: --root {places.root}"
        )
    try:
        for directory in (places.root, places.logs, places.schema):
            os.makedirs(directory, exist_ok=True)
        handle = open(places.lock, "w", encoding="utf-8")  # noqa: SIM115 - closed below, with the lock
    except OSError as error:
        raise UserError(
            f"The root cannot be written: {error.strerror}. Give a directory of your own with --root, or mend its "
            f"permissions. Received: --root {places.root}"
        ) from error
    with handle:
        _check_serving(places.serving)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Another run is using {places.root}; waiting until it has ended (Ctrl-C to give up) ...")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _check_serving(serving: str) -> None:
    """Find out before the training, not after it, that a model could not be pushed."""
    if "://" in serving:
        return
    try:
        os.makedirs(serving, exist_ok=True)
        if not os.access(serving, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UserError(
            f"The serving directory cannot be written: {error.strerror}. Give a directory of your own with "
            f"--serving-dir, or mend its permissions. Received: {serving}"
        ) from error


def ingest(config: Config, places: Places) -> tuple[corpora.Corpus, staging.CorpusFacts, str]:
    """Find, check and stage the corpus: every mistake in it shows here, before long work starts."""
    settings = config.corpus
    corpus = corpora.resolve(settings.source, settings.checksum, corpora.DEFAULT_CACHE)
    root = Path(places.root).resolve()
    if inside := [str(file.path) for file in corpus.files if root in file.path.resolve().parents]:
        raise UserError(
            f"The corpus takes in what former runs left below the root {root}: for example {inside[0]}. Name a "
            f"narrower corpus, or a root elsewhere with --root. Received: --corpus {settings.source}"
        )
    facts = staging.check(
        corpus, settings.min_chars, settings.passage_length, settings.eval_fraction, settings.test_fraction
    )
    return corpus, facts, str(staging.stage(corpus, Path(places.corpus)))


def run(
    config: Config, places: Places, screen: Screen, corpus: corpora.Corpus, facts: staging.CorpusFacts, staged: str
) -> "Report":
    """Run the pipeline on a staged corpus and return its report."""
    # TensorFlow and TFX take seconds to import: not before the input is known to be good.
    with screen.component("start"), startup.importing(screen.interrupted):
        screen.progress("loading TensorFlow and TFX", lasting=False)
        lean_imports.frameworks()
        from absl import logging as absl_logging
        from tfx.orchestration.metadata import sqlite_metadata_connection_config

        from components.models import registry
        from pipeline.create import Inputs, create_pipeline, run_key
        from pipeline.launch import WatchedRunner
        from pipeline.report import collect, mend_serving, with_learning_curve
        from trainer.hardware import split_cpu

        if config.training.logical_cpus > 1:
            split_cpu(config.training.logical_cpus)
    absl_logging.set_verbosity(absl_logging.INFO)  # into the log file, see pipeline.console.redirect
    logger = logging.getLogger("char_rnn.progress")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.handlers = [ProgressHandler(screen)]

    key = run_key(config, staged)
    newest = registry.newest_other(places.registry, run_key=key)
    inputs = Inputs(staged, corpus.label, _stage_schema(places), key, newest.digest if newest else "")
    pipeline = create_pipeline(config, places, inputs, beam_args(config))
    pipeline.metadata_connection_config = sqlite_metadata_connection_config(places.metadata)
    runner = WatchedRunner(screen.component, screen.component_ended)
    runner.run(pipeline)
    report = collect(config, places, corpus.label, facts, runner.outcomes)
    return with_learning_curve(mend_serving(report, places, key), places, key)


def beam_args(config: Config) -> list[str]:
    """Arguments of every Beam pipeline: the local runner, unless the configuration names another."""
    given = list(config.beam_args)
    return given if any(argument.startswith("--runner") for argument in given) else [*LOCAL_BEAM, *given]


def _stage_schema(places: Places) -> str:
    """Copy the curated schema to a path that changes with its content: TFX's cache looks at the path only."""
    source = sources.ROOT / "components" / "validate" / "schema" / "schema.pbtxt"
    content = source.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:16]
    target = Path(places.schema) / digest / "schema.pbtxt"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write(target, content)
    return str(target)
