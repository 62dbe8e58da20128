"""CorpusExampleGen on a cluster: the task itself finds, checks and stages the corpus in every run."""

import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

from tensorflow import errors
from tensorflow.io import gfile

from components.errors import UserError
from components.ingest import corpora, corpus_example_gen, staging


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
            super().Do(input_dict, output_dict, {**exec_properties, "input_base": staged})


def stage(source: str, settings: dict[str, Any], cutting: dict[str, Any], workspace: Path) -> str:
    """Find, check and copy the corpus, into a directory that is named after its content.

    Args:
      source: a known name, a file, folder or glob on a volume or in a bucket (gs://), or a URL.
      settings: `directory` for staged corpora (local or in a bucket), `checksum`, `suffixes` and `min_chars`.
      cutting: `passage_length`, `eval_fraction`, `test_fraction`, `documents`, and those of
        `text.Reading`.
      workspace: an empty local directory.

    Returns:
      The directory of the copy.

    Raises:
      UserError: the corpus cannot be read, or is not suitable for training.
    """
    # Downloads are not kept between runs, so that a schedule notices changed content behind a URL.
    suffixes = settings["suffixes"] and tuple(settings["suffixes"])
    corpus = corpora.resolve(source, settings["checksum"], workspace / "downloads", suffixes, cutting["column"])
    if corpus.note:
        # A local run prints the note. A schedule would train on another corpus for weeks before a user reads it.
        raise UserError(
            f"{corpus.note} A scheduled run never trains on a stand-in; put the text into the state volume or a bucket "
            f"and give its path. Received: corpus={source}"
        )
    facts = staging.check(
        corpus,
        settings["min_chars"],
        int(cutting["passage_length"]),
        cutting["eval_fraction"],
        cutting["test_fraction"],
        cutting["documents"],
        corpus_example_gen.reading(cutting),
    )
    logging.info("corpus %s: %s documents, %s characters", source, facts.documents, facts.characters)
    if "://" not in settings["directory"]:
        return str(staging.stage(corpus, Path(settings["directory"])))
    # Beam's workers may be on other machines, which can read the bucket only.
    return _upload(staging.stage(corpus, workspace / "staged"), settings["directory"])


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
