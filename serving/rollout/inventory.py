"""What lies in a serving directory on this machine, and what the registry knows about it.

The pipeline's own bookkeeping (`components.models.versions`, `components.models.registry`) also reads buckets, by
TensorFlow, which takes seconds to import; an operator's command must not.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import shell_command
from components.errors import UserError
from components.models.version_number import is_version_number
from pipeline.config.places import Places
from pipeline.config.run import Config
from serving.client import status
from serving.client.status import VersionStatus
from serving.rollout import labels
from serving.tf_serving.model_config import All, ServedModel, path_in

_SAVED_MODEL = "saved_model.pb"
_WITHDRAWN = ".withdrawn-"


@dataclass(frozen=True)
class Shelf:
    """The places of one model.

    Attributes:
      name: of the model.
      root: of its runs.
      base: directory of its versions, `<serving-dir>/<name>`.
      registry: directory of what is known of pushed models.
    """

    name: str
    root: str
    base: str
    registry: str

    @classmethod
    def of(cls, config: Config) -> "Shelf":
        """The places of a configuration.

        Raises:
          UserError: the serving directory is in a bucket.
        """
        places = Places.of(config)
        if "://" in places.serving:
            raise UserError(
                "Labels and versions can be managed in a directory of this machine only. Mount the bucket, and give "
                f"the mounted directory. Received: --serving-dir {config.serving_dir or config.root}"
            )
        return cls(config.model_name, places.root, places.serving, places.registry)

    @property
    def serving_dir(self) -> str:
        """Directory of all models."""
        return os.path.dirname(self.base)

    @property
    def config_path(self) -> str:
        """Where `models.config` is."""
        return path_in(self.serving_dir)


@dataclass(frozen=True)
class Version:
    """One version on disk. What the registry does not know is None.

    Attributes:
      number: its name, which TF Serving takes for a number.
      whole: whether a SavedModel lies there.
      served: whether the policy of `models.config` lets it answer.
      default: whether requests without a version or label reach it.
      state: in the words of the server that was asked, None where none was.
      error: why it could not load it, or empty.
      labels: that point to it.
      bytes: its size.
      perplexity: on the eval split of its corpus.
      bits_per_character: the same in bits.
      corpus: what it learned from.
      pushed_at: time, ISO 8601, UTC.
    """

    number: int
    whole: bool
    served: bool
    default: bool
    state: str | None
    error: str
    labels: tuple[str, ...]
    bytes: int
    perplexity: float | None = None
    bits_per_character: float | None = None
    corpus: str | None = None
    pushed_at: str | None = None


def directories(base: str) -> dict[int, Path]:
    """Directories below `base` that TF Serving takes for versions, whole or not, by ascending number.

    Their names may begin with zeros; of two names of one number, the one without is taken.
    """
    try:
        found = [entry for entry in os.scandir(base) if is_version_number(entry.name) and entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    found.sort(key=lambda entry: (int(entry.name), -len(entry.name)))
    return {int(entry.name): Path(entry.path) for entry in found}


def whole_versions(base: str) -> list[int]:
    """Numbers of the versions below `base` in which a SavedModel lies, in ascending order."""
    return [number for number, path in directories(base).items() if _is_whole(path)]


def require_versions(shelf: Shelf) -> list[int]:
    """`whole_versions`, of which there must be one.

    Raises:
      UserError: no model has been pushed there.
    """
    found = whole_versions(shelf.base)
    if not found:
        raise UserError(
            f"No version of the model {shelf.name} has been pushed there yet. Train one with "
            f"`{shell_command.of('local_runner.py')}`, or say where it is with --model, --root or --serving-dir. "
            f"Received: {shelf.base}"
        )
    return found


def versions(shelf: Shelf, model: ServedModel | None, states: dict[int, VersionStatus] | None = None) -> list[Version]:
    """Everything that is on disk, oldest first, with what is known about it.

    Args:
      shelf: where to look.
      model: its entry in `models.config`, None before there is one: the first one serves every version.
      states: what a server that serves them says about them, None where none was asked.
    """
    found = directories(shelf.base)
    whole = [number for number, path in found.items() if _is_whole(path)]
    entry = model or ServedModel(shelf.name, shelf.base, All())
    served = set(labels.allowed(entry.policy, whole))
    loaded = None if states is None else [number for number, one in states.items() if one.state == status.AVAILABLE]
    default = labels.reached(entry, whole) if loaded is None else max(loaded, default=None)
    return [
        Version(
            number=number,
            whole=number in whole,
            served=number in served,
            default=number == default,
            state=None if states is None else status.of(states, number).state,
            error="" if states is None else status.of(states, number).error_message,
            labels=tuple(sorted(label for label, version in entry.labels.items() if version == number)),
            bytes=_size(path),
            **_known(shelf, number),
        )
        for number, path in found.items()
    ]


def delete(base: str, version: int) -> None:
    """Delete a version: first it loses its number by one rename, so that no server meets half of it.

    Raises:
      OSError: it could not be renamed, and is still there, or else not all of its files could be deleted.
    """
    path = directories(base)[version]
    gone = path.with_name(f"{_WITHDRAWN}{path.name}")
    if os.path.lexists(gone):  # of a deletion that was killed
        _remove(gone)
    path.rename(gone)
    _remove(gone)


def remove_leftovers(base: str) -> list[OSError]:
    """Delete what deletions that were killed have left; returns why something is still there."""
    failures = []
    for path in sorted(Path(base).glob(f"{_WITHDRAWN}*")):
        try:
            _remove(path)
        except OSError as error:
            failures.append(error)
    return failures


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()  # of a link, not what it leads to


def _is_whole(path: Path) -> bool:
    return (path / _SAVED_MODEL).is_file()


def _size(path: Path) -> int:
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except FileNotFoundError:  # deleted meanwhile
                continue
    return total


def _known(shelf: Shelf, number: int) -> dict[str, Any]:
    """What the registry knows about a version; nothing where the model was pushed from another root."""
    try:
        entry = json.loads((Path(shelf.registry) / f"{number}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(entry, dict):
        return {}
    return {name: entry.get(name) for name in ("perplexity", "bits_per_character", "corpus", "pushed_at")}
