"""Statistics of a text that say how it is written, as TFDV's statistics of categorical features.

`character`: characters. `line_length`, `document_length`: lines and documents by their length, in powers of two.
`passage`: lines, or documents that are shorter than a file, by whether they repeat an earlier one. Lines and documents
that a record's border cuts are left out.
"""

import base64
import hashlib
import heapq
import os
from collections import Counter
from collections.abc import Iterable

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList as Statistics

from components.ingest import documents

CHARACTER, LINE, DOCUMENT, PASSAGE = "character", "line_length", "document_length", "passage"
NEW, REPEATED = "new", "repeated"
_MIN_COUNT = 30  # lines or documents; the distribution of fewer is chance
_MIN_PASSAGE = 20  # characters; shorter lines, such as headings, occur again in any text
_SKETCH = 50_000  # passages that are compared, those with the smallest hashes


class TextCounts:
    """Counts of a text, of which records are added in any order; memory does not grow with its length.

    Example: tests/components/validate/test_text_statistics.py.

    Attributes:
      counts: occurrences by feature and value.
    """

    def __init__(self, rule: str) -> None:
        """Begin with an empty text; `rule` is what one document is, `corpus.documents`."""
        self._rule = rule
        self.counts: dict[str, Counter[str]] = {name: Counter() for name in (CHARACTER, LINE, DOCUMENT)}
        self._passages: Counter[int] = Counter()  # occurrences by hash
        self._limit = 2**64  # hashes from this one on are not counted
        self._files: Counter[str] = Counter()

    def add(self, document: str, text: str, is_first: bool) -> None:
        """Add a record.

        Args:
          document: name of its file.
          text: of the record; begins with the last character of the one before.
          is_first: whether it is the file's first record in this split.
        """
        self.counts[CHARACTER].update(text if is_first else text[1:])
        if self._rule == documents.FILE:
            self._files[document] += len(text) - (not is_first)
            pieces = text.split("\n")[0 if is_first else 1 : -1]
        else:
            pieces = text.split(documents.END)[1:-1]
            self.counts[DOCUMENT].update(map(length_range, map(len, pieces)))
        lines = pieces if self._rule == documents.FILE else [line for one in pieces for line in one.split("\n")]
        self.counts[LINE].update(map(length_range, map(len, lines)))
        self._passages.update(one for one in map(passage_hash, pieces) if one is not None and one < self._limit)
        if len(self._passages) > 2 * _SKETCH:
            self._limit = heapq.nsmallest(_SKETCH, self._passages)[-1]
            self._passages = Counter({one: count for one, count in self._passages.items() if one < self._limit})

    def statistics(self, before: Statistics | None = None, repeats: bool = True) -> Statistics:
        """Return TFDV's statistics.

        Args:
          before: those of an earlier text.
          repeats: whether passages of the earlier text count as repeated, too.
        """
        counts = dict(self.counts)
        if self._rule == documents.FILE:
            counts[DOCUMENT] = Counter(map(length_range, self._files.values()))
        known, limit = sketch(before) if before and repeats else (frozenset(), self._limit)
        limit = min(limit, self._limit)
        compared = {one: count for one, count in self._passages.items() if one < limit}
        total, new = sum(compared.values()), sum(one not in known for one in compared)
        counts[PASSAGE] = Counter({NEW: new, REPEATED: total - new})
        made = Statistics()
        data = made.datasets.add(name="text", num_examples=sum(counts[CHARACTER].values()))
        for name, values in counts.items():
            if sum(values.values()) >= _MIN_COUNT or name == CHARACTER:
                add_feature(data, name, values)
        if before is None:
            hashes = np.array(sorted(self._passages), np.uint64).tobytes()
            custom = data.features[0].custom_stats
            custom.add(name="passages", str=base64.b64encode(hashes).decode())
            custom.add(name="limit", str=str(self._limit))
        return made


def path(artifact: str) -> str:
    """Return the path of the statistics in the directory of DriftCheck's artifact, where TFX would write them."""
    return os.path.join(artifact, "Split-train", "FeatureStats.pb")


def length_range(length: int) -> str:
    """Return the range of a length, between powers of two.

    >>> [length_range(length) for length in (0, 1, 40)]
    ['0', '1', '32 to 63']
    """
    if length < 2:
        return str(length)
    low = 1 << (length.bit_length() - 1)
    return f"{low} to {2 * low - 1}"


def passage_hash(text: str) -> int | None:
    """Return a hash below 2**64 of a line or document; None if it is too short to be compared."""
    piece = text.strip()
    if len(piece) < _MIN_PASSAGE:
        return None
    return int.from_bytes(hashlib.blake2b(piece.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def shares(statistics: Statistics, feature: str) -> dict[str, float]:
    """Return the share of each value of a feature; empty if the statistics do not have it."""
    for found in statistics.datasets[0].features:
        if found.path.step[0] == feature:
            buckets = found.string_stats.rank_histogram.buckets
            total = sum(bucket.sample_count for bucket in buckets)
            return {bucket.label: bucket.sample_count / total for bucket in buckets}
    return {}


def sketch(statistics: Statistics) -> tuple[frozenset[int], int]:
    """Return the hashes of passages that are below a limit, and the limit."""
    stored = {one.name: one.str for found in statistics.datasets[0].features for one in found.custom_stats}
    hashes = np.frombuffer(base64.b64decode(stored["passages"]), np.uint64)
    return frozenset(hashes.tolist()), int(stored["limit"])


def add_feature(data: statistics_pb2.DatasetFeatureStatistics, name: str, counts: Counter[str]) -> None:
    """Add a categorical feature with the occurrences of its values."""
    feature = data.features.add(type=statistics_pb2.FeatureNameStatistics.STRING)
    feature.path.step.append(name)
    total, ranked = sum(counts.values()), _ranked(counts.items())
    common, strings = feature.string_stats.common_stats, feature.string_stats
    common.num_non_missing = common.tot_num_values = total
    common.min_num_values = common.max_num_values = 1
    strings.unique = len(ranked)
    for rank, (value, count) in enumerate(ranked):
        strings.rank_histogram.buckets.add(low_rank=rank, high_rank=rank, label=_label(value), sample_count=count)
        strings.top_values.add(value=_label(value), frequency=count)


def _ranked(items: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(((value, count) for value, count in items if count), key=lambda item: (-item[1], item[0]))


def _label(value: str) -> str:
    """Return a value as protocol buffers can hold it: half of a surrogate pair is escaped."""
    return value.encode("utf-8", "backslashreplace").decode()
