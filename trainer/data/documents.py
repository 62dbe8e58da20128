"""Join tf.Transform's examples into documents of ids, in the order of the text."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from transform.vocabulary import Vocabulary

_RECORDS_AT_A_TIME = 256


@dataclass(frozen=True)
class Split:
    """All documents of one split.

    Attributes:
      documents: their names, sorted.
      lengths: characters of each document in this split, int64 (documents,).
      ids: the documents, concatenated, in the smallest sufficient unsigned type, (characters,).
    """

    documents: tuple[str, ...]
    lengths: NDArray[np.int64]
    ids: NDArray[Any]

    @property
    def targets(self) -> int:
        """Characters to predict: all but each document's first."""
        return int(np.maximum(self.lengths - 1, 0).sum())

    def digest(self, vocabulary: Vocabulary) -> str:
        """Return SHA-256 of documents and vocabulary; it does not depend on the order of the records."""
        sha = hashlib.sha256(repr((self.documents, vocabulary.code_points)).encode())
        sha.update(np.ascontiguousarray(self.lengths).tobytes())
        for at in range(0, len(self.ids), 1 << 24):
            sha.update(np.ascontiguousarray(self.ids[at : at + (1 << 24)]).tobytes())
        return sha.hexdigest()


def load(files: Sequence[str], feature_spec: dict[str, Any], vocabulary_size: int, memory_limit_chars: int) -> Split:
    """Join a split's passages in order.

    ExampleGen shuffles records, and passages overlap by one character; sorted by (document, position) they are the
    text. The records are read twice, once for the positions and once for the ids, so that a split of more than
    `memory_limit_chars` characters is never in memory: its ids are in a memory-mapped temporary file.

    Args:
      files: patterns of gzipped TFRecord files, as the TFX Trainer passes them.
      feature_spec: of the transformed examples; `ids`, `document`, `position`.
      vocabulary_size: number of ids.

    Raises:
      ValueError: passages are missing or overlap.
    """
    spans: dict[bytes, list[tuple[int, int]]] = {}  # of the passages: first character, and one past the last
    for document, position, ids in _passages(files, feature_spec):
        spans.setdefault(document, []).append((position, position + len(ids)))
    documents = sorted(spans)
    for name in documents:
        spans[name].sort()
        for (_, end), (start, _) in zip(spans[name], spans[name][1:]):
            if start != end - 1:
                raise ValueError(
                    "The passages of a split do not cover their documents without gaps and repetitions: after one that "
                    f"ends at character {end} comes one that starts at {start}, and they must share one character. "
                    f"Received: {name.decode()} in {list(files)}"
                )
    first = {name: spans[name][0][0] for name in documents}
    lengths = np.array([spans[name][-1][1] - first[name] for name in documents], np.int64)
    begins = dict(zip(documents, np.concatenate([[0], np.cumsum(lengths)[:-1]]))) if documents else {}
    joined = _allocate(int(lengths.sum()), np.min_scalar_type(vocabulary_size - 1), memory_limit_chars)
    for document, position, ids in _passages(files, feature_spec):
        at = begins[document] + position - first[document]
        joined[at : at + len(ids)] = ids
    return Split(tuple(name.decode() for name in documents), lengths, joined)


def ends(split: Split, fraction: float) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return ids and lengths, as in `Split`, of the end of each document; at least two characters in all.

    >>> ends(Split(("a", "b"), np.array([4, 8]), np.arange(12)), 0.5)[0].tolist()
    [2, 3, 8, 9, 10, 11]

    Args:
      fraction: of each document, at most 1.
    """
    sizes = np.minimum(np.round(split.lengths * fraction).astype(np.int64), split.lengths)
    longest = np.argmax(split.lengths)
    sizes[longest] = max(sizes[longest], min(2, split.lengths[longest]))
    last = np.cumsum(split.lengths)
    parts = [split.ids[end - size : end] for end, size in zip(last, sizes) if size]
    return np.concatenate(parts), sizes[sizes > 0]


def _passages(files: Sequence[str], feature_spec: dict[str, Any]) -> Iterator[tuple[bytes, int, NDArray[np.int64]]]:
    # An attempt that lost a Beam worker leaves its temporary directory beside the files of the one that succeeded.
    matches = [path for path in tf.io.gfile.glob(list(files)) if not tf.io.gfile.isdir(path)]
    paths = tf.data.Dataset.list_files(matches, shuffle=False)
    records = tf.data.TFRecordDataset(paths, compression_type="GZIP")
    parsed = records.batch(_RECORDS_AT_A_TIME).map(lambda batch: tf.io.parse_example(batch, feature_spec))
    for batch in parsed:
        ends = batch["ids"].row_splits.numpy()
        flat = batch["ids"].values.numpy()
        documents, positions = batch["document"].numpy().ravel(), batch["position"].numpy().ravel()
        for i, (document, position) in enumerate(zip(documents, positions)):
            yield document, int(position), flat[ends[i] : ends[i + 1]]


def _allocate(count: int, dtype: Any, memory_limit_chars: int) -> NDArray[Any]:
    if count <= memory_limit_chars:
        return np.zeros(count, dtype)
    # Unlinked immediately: the mapping keeps the space until the process ends, even if it is killed.
    with tempfile.NamedTemporaryFile(prefix="char-rnn-ids-") as file:
        return np.memmap(file.name, dtype, "w+", shape=(count,))
