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
      source: a known name, a path, a glob, a folder or glob in a bucket (gs://) or a URL.
      settings: `directory` for staged corpora (local or in a bucket), `checksum` and `min_chars`.
      cutting: `passage_length`, `eval_fraction` and `test_fraction`.
      workspace: an empty local directory.

    Returns:
      The directory of the copy.

    Raises:
      UserError: the corpus cannot be read, or is not suitable for training.
    """
    # Downloads are not kept between runs, so that a schedule notices changed content behind a URL.
    corpus = corpora.resolve(_fetched(source, workspace / "fetched"), settings["checksum"], workspace / "downloads")
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
    )
    logging.info("corpus %s: %s documents, %s characters", source, facts.documents, facts.characters)
    if "://" not in settings["directory"]:
        return str(staging.stage(corpus, Path(settings["directory"])))
    # Beam's workers may be on other machines, which can read the bucket only.
    return _upload(staging.stage(corpus, workspace / "staged"), settings["directory"])


def _fetched(source: str, folder: Path) -> str:
    """Copy a corpus from a bucket to a local folder and return its path; return any other source unchanged."""
    if "://" not in source or source.lower().startswith(("http://", "https://")):
        return source
    try:
        names = gfile.glob(os.path.join(source, "*") if gfile.isdir(source) else source)
        files = [name for name in names if not gfile.isdir(name)]
        folder.mkdir()
        for name in files:
            gfile.copy(name, str(folder / os.path.basename(name)))
    except errors.OpError as error:
        raise UserError(
            f"The corpus cannot be read from its bucket: {error.message}. gs:// works if the pods' service account may "
            "read it; for any other object store copy the text into the state volume, or give a URL. "
            f"Received: corpus={source}"
        ) from error
    if not files:
        raise UserError(f"The bucket has no file there. Received: corpus={source}")
    return str(folder)


def _upload(staged: Path, directory: str) -> str:
    target = os.path.join(directory, staged.name)
    for file in sorted(staged.iterdir()):
        to = os.path.join(target, file.name)
        # Do not rewrite an equal file, which another run may be reading.
        if not gfile.exists(to) or gfile.stat(to).length != file.stat().st_size:
            gfile.copy(str(file), to, overwrite=True)
    return target
