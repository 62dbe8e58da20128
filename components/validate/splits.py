"""Size of the splits, from StatisticsGen's statistics of the records."""

import os
from typing import NamedTuple


class Split(NamedTuple):
    """Size of a split of the records; characters at the border of two passages of a document count in both."""

    name: str
    documents: int
    passages: int
    characters: int


def read(statistics: str) -> list[Split]:
    """Read the directory of an ExampleStatistics artifact, which may be in a bucket; no splits if it was deleted.

    Example: tests/components/validate/test_splits.py.
    """
    from tensorflow.io import gfile
    from tensorflow_metadata.proto.v0 import statistics_pb2

    splits = []
    for path in sorted(gfile.glob(os.path.join(statistics, "Split-*", "FeatureStats.pb"))):
        with gfile.GFile(path, "rb") as file:
            (data,) = statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read()).datasets
        features = {feature.name or ".".join(feature.path.step): feature for feature in data.features}
        characters = round(features["length"].num_stats.mean * data.num_examples)
        documents = features["document"].string_stats.unique
        name = os.path.basename(os.path.dirname(path)).removeprefix("Split-")
        splits.append(Split(name, documents, data.num_examples, characters))
    return splits
