"""The registry of blessed and pushed models of a lineage: one small JSON file for each version, written atomically."""

import dataclasses
import json
import os
from dataclasses import dataclass

from tensorflow.io import gfile

from components.models import versions


@dataclass(frozen=True)
class Entry:
    """A model that was blessed and pushed.

    Attributes:
      version: its number in the serving directory.
      digest: of its files, `components.models.versions.digest`.
      run_key: digest of all that decided the model: corpus, configuration, code, libraries.
      model: where the Trainer's SavedModel lies.
      served: where it was pushed to.
      perplexity: on the eval split of its corpus.
      bits_per_character: the same in bits.
      corpus: what it learned from.
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
        """Where the SavedModel still lies: as trained, else as served, else nowhere."""
        return next(filter(versions.is_whole, (self.model, self.served)), None)


def entries(directory: str) -> list[Entry]:
    """All entries, oldest first; none if there is no registry yet."""
    if not gfile.isdir(directory):
        return []
    found = []
    for name in gfile.listdir(directory):
        if name.endswith(".json") and not name.startswith("."):
            with gfile.GFile(os.path.join(directory, name)) as file:
                found.append(Entry(**json.load(file)))
    return sorted(found, key=lambda entry: entry.version)


def record(directory: str, entry: Entry) -> None:
    """Add or replace the entry of a version; a reader sees all of it or nothing."""
    gfile.makedirs(directory)
    partial = os.path.join(directory, f".{entry.version}.partial")
    with gfile.GFile(partial, "w") as file:
        file.write(json.dumps(dataclasses.asdict(entry), indent=2) + "\n")
    gfile.rename(partial, os.path.join(directory, f"{entry.version}.json"), overwrite=True)


def newest_other(directory: str, *, digest: str | None = None, run_key: str | None = None) -> Entry | None:
    """The newest entry whose model still exists and is neither of this digest nor the result of a run with this key."""
    for entry in reversed(entries(directory)):
        if entry.digest != digest and entry.run_key != run_key and entry.found_at():
            return entry
    return None
