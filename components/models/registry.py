"""The registry of blessed and pushed models of a lineage: one small JSON file for each version."""

import dataclasses
import json
import os
from dataclasses import dataclass

from tensorflow.io import gfile

from components import files
from components.models import versions


@dataclass(frozen=True)
class Entry:
    """A model that was blessed and pushed.

    Example: `test_entry_is_read_as_recorded` in tests/components/models/test_registry.py.

    Attributes:
      version: its number in the serving directory.
      digest: of its files, `components.models.versions.digest`.
      run_key: digest of everything that decides the model: corpus, configuration, code, libraries.
      model: path of the Trainer's SavedModel.
      served: path of the pushed copy.
      perplexity: on the eval split of its corpus.
      bits_per_character: the same in bits.
      corpus: the training corpus.
      pushed_at: time, ISO 8601, UTC.
    """

    version: int
    digest: str
    run_key: str
    model: str
    served: str
    perplexity: float
    bits_per_character: float
    corpus: str
    pushed_at: str

    def found_at(self) -> str | None:
        """Path of the SavedModel: the Trainer's if it still exists, else the pushed copy's, else None."""
        return next(filter(versions.is_complete, (self.model, self.served)), None)


def entries(directory: str) -> list[Entry]:
    """List all entries, oldest first; none if there is no registry yet."""
    if not gfile.isdir(directory):
        return []
    found = []
    for name in gfile.listdir(directory):
        if name.endswith(".json") and not name.startswith("."):
            with gfile.GFile(os.path.join(directory, name)) as file:
                found.append(Entry(**json.load(file)))
    return sorted(found, key=lambda entry: entry.version)


def record(directory: str, entry: Entry) -> None:
    """Add or replace the entry of a version, atomically."""
    gfile.makedirs(directory)
    path = os.path.join(directory, f"{entry.version}.json")
    files.write(path, json.dumps(dataclasses.asdict(entry), indent=2) + "\n")


def newest_other(directory: str, *, digest: str | None = None, run_key: str | None = None) -> Entry | None:
    """The newest entry whose model still exists and has neither this digest nor this run key."""
    others = (entry for entry in reversed(entries(directory)) if entry.digest != digest and entry.run_key != run_key)
    return next(filter(Entry.found_at, others), None)
