"""The registry of blessed and pushed models of a lineage: one small JSON file for each version.

A local registry is read without TensorFlow, which only buckets need. Entries outlive the code that wrote them: unknown
fields are ignored, missing ones have defaults, and a file that cannot be read is skipped with a warning.
"""

import dataclasses
import functools
import json
import logging
import os
import sys
from dataclasses import dataclass

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
      model: path of the trained SavedModel, which later runs can open.
      served: path of the pushed copy.
      perplexity: on the eval split of its corpus; None: the file does not state it.
      bits_per_character: the same in bits.
      corpus: the training corpus.
      pushed_at: time, ISO 8601, UTC.
      eval_digest: of the text that it was evaluated on; "": the file does not state it.
      spans: names of the spans of the corpus, with commas between them; "": it has none.
    """

    version: int
    digest: str = ""
    run_key: str = ""
    model: str = ""
    served: str = ""
    perplexity: float | None = None
    bits_per_character: float | None = None
    corpus: str = ""
    pushed_at: str = ""
    eval_digest: str = ""
    spans: str = ""

    def found_at(self) -> str | None:
        """Path of the SavedModel: the trained one if it still exists, else the pushed copy, else None.

        A path may hold another model by now, for example a version of another root that shares the serving directory,
        so the digest is compared.
        """
        return next((path for path in (self.model, self.served) if path and versions.holds(path, self.digest)), None)


@dataclass(frozen=True)
class Found:
    """Result of `newest_other`.

    Attributes:
      entry: the newest entry whose model still exists; None if there is none.
      path: of its model; empty if there is none.
      missing: newer entries of other models, which exist no longer, newest first.
    """

    entry: Entry | None
    path: str
    missing: tuple[Entry, ...]

    @property
    def warning(self) -> str:
        """One sentence about the newest missing model; empty if none is missing."""
        if not self.missing:
            return ""
        gone = self.missing[0]
        instead = f"version {self.entry.version} instead" if self.entry else "no other model"
        where = f"neither at {gone.model} nor at {gone.served} any more"
        return f"the last blessed model, version {gone.version}, is {where}: compared with {instead}"


def entries(directory: str) -> list[Entry]:
    """List all readable entries, oldest first; none if there is no registry yet."""
    paths = _paths(directory)
    return [entry for number in sorted(paths) if (entry := _read(paths[number], number))]


def largest_version(directory: str) -> int:
    """Return the largest version that has an entry, even one that cannot be read; 0 if there is none."""
    return max(_paths(directory), default=0)


def record(directory: str, entry: Entry) -> None:
    """Add or replace the entry of a version, atomically."""
    from tensorflow.io import gfile

    gfile.makedirs(directory)
    path = os.path.join(directory, f"{entry.version}.json")
    files.write(path, json.dumps(dataclasses.asdict(entry), indent=2) + "\n")


def newest_other(directory: str, *, digest: str | None = None, run_key: str | None = None) -> Found:
    """Find the newest entry whose model still exists and has neither this digest nor this run key."""
    missing: list[Entry] = []
    for entry in reversed(entries(directory)):
        if entry.digest == digest or entry.run_key == run_key:
            continue
        if path := entry.found_at():
            return Found(entry, path, tuple(one for one in missing if one.digest != entry.digest))
        missing.append(entry)
    return Found(None, "", tuple(missing))


def text_path(directory: str, version: int) -> str:
    """Return the path of the statistics of the text that a version was trained on; entries of earlier releases lack it.

    TFDV reads them, see `components.validate.text_statistics`.
    """
    return os.path.join(directory, f"{version}.text.pb")


def newest_with_text(directory: str, digest: str) -> Entry | None:
    """Find the newest entry whose text has statistics, of the model with a digest; "": of any."""
    from tensorflow.io import gfile

    found = (one for one in reversed(entries(directory)) if digest in ("", one.digest))
    return next((one for one in found if gfile.exists(text_path(directory, one.version))), None)


def _paths(directory: str) -> dict[int, str]:
    """Return the entries' paths by version; other files, such as temporary ones, are left out."""
    if "://" in directory:
        from tensorflow.io import gfile

        names = gfile.listdir(directory) if gfile.isdir(directory) else []
    else:
        try:
            names = os.listdir(directory)
        except (FileNotFoundError, NotADirectoryError):
            names = []
    stems = [stem for stem, kind in map(os.path.splitext, names) if kind == ".json"]
    return {int(stem): os.path.join(directory, f"{stem}.json") for stem in stems if versions.is_version_number(stem)}


def _read(path: str, version: int) -> Entry | None:
    try:
        content = _content(path)
        return None if content is None else _parsed(content, version)
    except (OSError, ValueError, RecursionError) as error:
        _warn(path, version, str(error))
        return None


def _content(path: str) -> bytes | None:
    """Return a file's content; None if it was deleted meanwhile."""
    if "://" not in path:
        try:
            with open(path, "rb") as local:
                return local.read()
        except FileNotFoundError:
            return None
    from tensorflow import errors
    from tensorflow.io import gfile

    try:
        with gfile.GFile(path, "rb") as file:
            return bytes(file.read())
    except errors.NotFoundError:
        return None
    except errors.OpError as error:
        raise OSError(error.message) from error


def _parsed(content: bytes, version: int) -> Entry:
    """Raises ValueError if this is not an entry."""
    value = json.loads(content)
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    for field in dataclasses.fields(Entry):
        stated = value.get(field.name, field.default)
        allowed = str if field.type is str else (int, float, type(None))
        if field.name != "version" and not isinstance(stated, allowed):
            raise ValueError(f"its {field.name} is {stated!r}")
        if isinstance(stated, int) and abs(stated) > sys.float_info.max:  # JSON's integers have no limit
            raise ValueError(f"its {field.name} is too large")
    names = {field.name for field in dataclasses.fields(Entry)}
    return Entry(**{name: stated for name, stated in value.items() if name in names} | {"version": version})


@functools.cache  # once for each file: some readers read it every second
def _warn(path: str, version: int, reason: str) -> None:
    logging.warning(
        "The registry entry %s is ignored, because it cannot be read: %s. New models are not compared with version %s. "
        "A run that finds its model served writes the entry again; otherwise restore the file from a backup, or delete "
        "it.",
        path,
        reason,
        version,
    )
