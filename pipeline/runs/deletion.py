"""Delete what retention chose: first in ML Metadata, then on disk.

TFX's cache uses an artifact only while its state is LIVE, so a killed deletion leaves nothing that a run would use, and
the next one removes the rest. A directory of checkpoints is renamed first, so that no run reads a part of it.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto.metadata_store_pb2 import Artifact as ArtifactProto

from components import files
from components.errors import UserError
from pipeline.config.places import Places
from pipeline.runs import disk
from pipeline.runs.history import Artifact
from pipeline.runs.retention import DELETED, EXPORT, Choice


@dataclass(frozen=True)
class Item:
    """Something to delete.

    Attributes:
      path: of a file or directory.
      what: its kind: component and output of an artifact, "checkpoints", "exports" or "corpora".
      bytes: size of its files.
    """

    path: str
    what: str
    bytes: int


@contextlib.contextmanager
def locked(places: Places) -> Iterator[None]:
    """Keep runs out of a root.

    Raises:
      UserError: a run is using it, or it is not a local directory in which one has run.
    """
    if "://" in places.root:
        raise UserError(
            "Runs in a bucket are recorded by Kubeflow or Vertex AI, which also decide what their cache needs: use "
            f"their retention, or a life-cycle rule of the bucket. Received: --root {places.root}"
        )
    if not os.path.isfile(places.metadata):
        raise UserError(
            f"No run is recorded there: there is no file metadata.db. Name the root of the runs with --root. Received: "
            f"--root {places.root}"
        )
    try:
        handle = open(places.lock, "a", encoding="utf-8")  # noqa: SIM115 - closed below, with the lock
    except OSError as error:
        raise UserError(
            f"The root cannot be written: {error.strerror}. Fix its permissions, or delete as its owner. Received: "
            f"--root {places.root}"
        ) from error

    def refuse() -> None:
        raise UserError(
            "A run is using this root, and what it needs is not known before it has ended. Clean after it, or "
            f"interrupt it first; the same command resumes it. Received: --root {places.root}"
        )

    with handle:
        files.lock(handle, places.root, refuse)
        yield


def items(places: Places, choice: Choice) -> list[Item]:
    """List what there is to delete with its size; artifacts without a directory are left out."""
    found = [(one.uri, _what(places, one)) for one in choice.artifacts if os.path.lexists(one.uri)]
    for path in [*choice.directories, *disk.unfinished_deletions(places)]:
        name = os.path.basename(path).removeprefix(disk.HIDDEN)
        in_corpus = os.path.dirname(path) == places.corpus
        found.append((path, "corpora" if in_corpus else "exports" if name.startswith(EXPORT) else "checkpoints"))
    return [Item(path, what, disk.size(path)) for path, what in found]


def delete(store: MetadataStore, places: Places, choice: Choice, chosen: Sequence[Item]) -> list[OSError]:
    """Mark the artifacts as deleted, then delete all items. Example: tests/pipeline/runs/test_deletion.py.

    Returns:
      The errors of files that could not be deleted.
    """
    _mark(store, [one.id for one in choice.artifacts if one.state != DELETED])
    uris = {one.uri for one in choice.artifacts}
    errors: list[OSError] = []
    for path in [*disk.unfinished_deletions(places), *(item.path for item in chosen)]:
        try:
            if not os.path.lexists(path):
                continue
            hidden = os.path.basename(path).startswith(disk.HIDDEN)
            _remove(path if path in uris or hidden else _hide(path))
        except OSError as error:
            errors.append(error)
    return errors


def _mark(store: MetadataStore, numbers: Iterable[int]) -> None:
    """Set the state, in one transaction. Other artifacts must not be written: TFX's cache compares their times."""
    artifacts = store.get_artifacts_by_id(list(numbers))
    for artifact in artifacts:
        artifact.state = ArtifactProto.DELETED
    if artifacts:
        store.put_artifacts(artifacts)


def _what(places: Places, artifact: Artifact) -> str:
    """Return component and output, the first two folders of an artifact's path."""
    return os.sep.join(os.path.relpath(artifact.uri, places.pipeline).split(os.sep)[:2])


def _hide(path: str) -> str:
    folder, name = os.path.split(path)
    hidden = os.path.join(folder, f"{disk.HIDDEN}{name}")
    os.rename(path, hidden)
    return hidden


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
