"""CorpusExampleGen on a cluster: the task itself finds, checks and stages the corpus in every run."""

import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from tensorflow import errors
from tensorflow.io import gfile

from components.errors import UserError
from components.ingest import corpus_example_gen, staging
from components.ingest.corpora import Corpus
from components.ingest.selection import check, spans


class Executor(corpus_example_gen.Executor):
    """Stages the corpus named in `input_base`, by the settings in `staging`, and reads it.

    Example: tests/kubeflow/task/test_staging.py; the rehearsal runs it as a task.
    """

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: dict[str, Any]) -> None:  # noqa: N802 - TFX's name
        """Stage the corpus and write its examples."""
        settings = json.loads(exec_properties["staging"])
        with tempfile.TemporaryDirectory(prefix="corpus-") as workspace:
            cutting = corpus_example_gen._settings(exec_properties["custom_config"])
            staged = stage(exec_properties["input_base"], settings, cutting, Path(workspace))
            known = {"holdout": staged.holdout, "properties": staged.properties}
            custom = corpus_example_gen.replaced(exec_properties["custom_config"], **known)
            changed = {"input_base": staged.corpus, "custom_config": custom}
            super().Do(input_dict, output_dict, {**exec_properties, **changed})


class Staged(NamedTuple):
    """A staged corpus.

    Attributes:
      corpus: directory of the copy.
      holdout: the same of the eval text; "" if it is a part of the corpus.
      properties: of the Examples artifact.
    """

    corpus: str
    holdout: str
    properties: dict[str, str | int]


def stage(source: str, settings: dict[str, Any], cutting: dict[str, Any], workspace: Path) -> Staged:
    """Find, check and copy the corpus and the eval text, into directories that are named after their content.

    Args:
      source: a known name, a file, folder or glob on a volume or in a bucket (gs://), or a URL.
      settings: `directory` for staged corpora (local or in a bucket), `checksum`, `suffixes`, `min_chars`,
        `holdout` and `window`.
      cutting: `passage_length`, `eval_fraction`, `test_fraction`, `documents`, and those of
        `text.Reading`.
      workspace: an empty local directory.

    Raises:
      UserError: the corpus cannot be read, or is not suitable for training.
    """
    # Downloads are not kept between runs, so that a schedule notices changed content behind a URL.
    suffixes = settings["suffixes"] and tuple(settings["suffixes"])
    found_by = workspace / "downloads", suffixes, cutting["column"]
    corpus = spans.resolve(source, settings["window"], settings["checksum"], *found_by)
    if corpus.note:
        # A local run prints the note. A schedule would train on another corpus for weeks before a user reads it.
        raise UserError(
            f"{corpus.note} A scheduled run never trains on a stand-in; put the text into the state volume or a bucket "
            f"and give its path. Received: corpus={source}"
        )
    holdout = check.find_holdout(settings["holdout"], *found_by) if settings["holdout"] else None
    facts = check.check(
        corpus,
        settings["min_chars"],
        int(cutting["passage_length"]),
        cutting["eval_fraction"],
        cutting["test_fraction"],
        cutting["documents"],
        corpus_example_gen.reading(cutting),
        holdout,
    )
    logging.info("corpus %s: %s documents, %s characters", source, facts.documents, facts.characters)
    if corpus.spans:
        logging.info("spans: %s", spans.listed(corpus.spans))
    if facts.note:
        logging.warning("%s", facts.note)
    copy, held_out = (_copy(one, settings["directory"], workspace) if one else "" for one in (corpus, holdout))
    return Staged(copy, held_out, corpus.properties(facts.eval_digest))


def _copy(corpus: Corpus, directory: str, workspace: Path) -> str:
    if "://" not in directory:
        return str(staging.stage(corpus, Path(directory)))
    # Beam's workers may be on other machines, which can read the bucket only.
    return _upload(staging.stage(corpus, workspace / "staged"), directory)


def _upload(staged: Path, directory: str) -> str:
    """Copy a staged corpus below a directory in a bucket, unless it is there; finishes the copy of a killed run.

    Objects appear only when they are complete, and the corpus is read after this function only.
    """
    target = os.path.join(directory, staged.name)
    documents = {file.name: file for file in staged.iterdir()}
    try:
        entries = gfile.listdir(target) if gfile.isdir(target) else []
        present = {entry for entry in entries if entry and not entry.endswith("/")}  # without folders and their markers
        for name in present - documents.keys():
            gfile.remove(os.path.join(target, name))
        for name, file in documents.items():
            to = os.path.join(target, name)
            # Do not write an equal object again: another run may be reading it.
            if name not in present or gfile.stat(to).length != file.stat().st_size:
                gfile.copy(str(file), to, overwrite=True)
    except errors.OpError as error:
        raise UserError(
            f"The corpus cannot be copied into the bucket of the runs' state: {' '.join(error.message.split())}. Check "
            f"cluster.root, and that the pods' service account may write to it. Received: {target}"
        ) from error
    return target
