"""The versions of a model on this machine, with what `models.config`, the server and the registry know about them."""

import logging
import os
from dataclasses import dataclass
from typing import Any

from components import shell_command
from components.errors import UserError
from components.models import cards, registry, versions
from pipeline.config.places import Places
from pipeline.config.run import Config
from serving.client import status
from serving.client.status import VersionStatus
from serving.rollout import labels
from serving.tf_serving.model_config import All, ServedModel, path_in


@dataclass(frozen=True)
class ModelPaths:
    """The directories of one model.

    Attributes:
      name: of the model.
      root: directory of its runs.
      base: directory of its versions, `<serving-dir>/<name>`.
      registry: directory of the registry of pushed models.

    Example:
      >>> ModelPaths("poems", "/runs", "/runs/serving/poems", "/runs/registry/poems").config_path
      '/runs/serving/models.config'
    """

    name: str
    root: str
    base: str
    registry: str

    @classmethod
    def of(cls, config: Config) -> "ModelPaths":
        """Take the paths from a configuration.

        Raises:
          UserError: the serving directory is in a bucket.
        """
        places = Places(config)
        if "://" in places.serving:
            raise UserError(
                "Labels and versions can be managed in a local directory only. Mount the bucket, and give the mounted "
                f"directory. Received: --serving-dir {config.serving_dir or config.root}"
            )
        return cls(config.model_name, places.root, places.serving, places.registry)

    @property
    def serving_dir(self) -> str:
        """Directory of all models."""
        return os.path.dirname(self.base)

    @property
    def config_path(self) -> str:
        """Path of `models.config`."""
        return path_in(self.serving_dir)


@dataclass(frozen=True)
class Version:
    """One version on disk. The registry's values are None for a version that it does not know.

    Example: `test_version_is_listed_with_labels_size_and_registry_values` in tests/serving/rollout/test_inventory.py.

    Attributes:
      number: name of its directory.
      complete: whether the directory holds a SavedModel.
      served: whether the policy of `models.config` serves it.
      default: whether it responds to requests without a version or label.
      state: as the server reports it, None without a server.
      error: why the server could not load it, or empty.
      labels: that point to it.
      bytes: size of its files.
      perplexity: on the eval split of its corpus.
      bits_per_character: the same in bits.
      corpus: the training corpus.
      pushed_at: time, ISO 8601, UTC.
      spans: of the corpus, with commas between them; "": it has none.
    """

    number: int
    complete: bool
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
    spans: str | None = None


def require_versions(paths: ModelPaths) -> list[int]:
    """List the complete versions, of which there must be one.

    Raises:
      UserError: no model has been pushed.
    """
    found = versions.complete(paths.base)
    if not found:
        raise UserError(
            f"No version of the model {paths.name} has been pushed yet. Train one with "
            f"`{shell_command.of('local_runner.py')}`, or give its directory with --model, --root or --serving-dir. "
            f"Received: {paths.base}"
        )
    return found


def card(paths: ModelPaths, version: int) -> str:
    """Return the model card of a version on disk, Markdown.

    Raises:
      UserError: there is no such version, or an earlier release pushed it without a card.
    """
    complete = require_versions(paths)
    if version not in complete:
        known = ", ".join(map(str, complete))
        raise UserError(
            f"Version not found or incomplete. Choose one of {known}. Received: --card {version}, {paths.base}"
        )
    path = versions.directories(paths.base)[version]
    found = cards.read(path)
    if found is None:
        raise UserError(
            f"This version has no model card: an earlier release pushed it. Received: --card {version}, {path}"
        )
    return found


def listed(
    paths: ModelPaths, model: ServedModel | None, states: dict[int, VersionStatus] | None = None
) -> list[Version]:
    """List all versions on disk, oldest first.

    Args:
      model: its entry in `models.config`; None if there is none yet, in which case every version is served.
      states: their status as a server reports it, None without a server.
    """
    found = versions.directories(paths.base)
    complete = [number for number, path in found.items() if versions.is_complete(path)]
    entry = model or ServedModel(paths.name, paths.base, All())
    served = labels.allowed(entry.policy, complete)
    registered = _registered(paths, found)
    if states is None:
        default = labels.default_version(entry, complete)
    else:
        default = max((number for number, one in states.items() if one.state == status.AVAILABLE), default=None)
    return [
        Version(
            number=number,
            complete=number in complete,
            served=number in served,
            default=number == default,
            state=None if states is None else status.of(states, number).state,
            error=status.of(states, number).error_message,
            labels=tuple(sorted(label for label, version in entry.labels.items() if version == number)),
            bytes=_size(path),
            **registered.get(number, {}),
        )
        for number, path in found.items()
    ]


def _size(directory: str) -> int:
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except FileNotFoundError:  # deleted meanwhile
                continue
    return total


def _registered(paths: ModelPaths, found: dict[int, str]) -> dict[int, dict[str, Any]]:
    """The registry's values by version; none for a model from another root, also if it has a number of this one's."""
    try:
        entries = registry.entries(paths.registry)
    except OSError as error:  # another user's, for example
        logging.warning("The registry %s cannot be read, so its values are not shown: %s", paths.registry, error)
        return {}
    return {
        entry.version: {
            "perplexity": entry.perplexity,
            "bits_per_character": entry.bits_per_character,
            "corpus": entry.corpus,
            "pushed_at": entry.pushed_at,
            "spans": entry.spans,
        }
        for entry in entries
        if entry.version in found and _is_about(entry, found[entry.version])
    }


def _is_about(entry: registry.Entry, path: str) -> bool:
    try:
        return not entry.digest or versions.holds(path, entry.digest)
    except OSError:  # not readable
        return False
