"""The size of the splits, as StatisticsGen measured it."""

from pathlib import Path

import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.validate import splits
from components.validate.splits import Split

pytestmark = pytest.mark.integration


def test_splits_have_their_size(tmp_path: Path) -> None:
    for name, passages in (("train", 8), ("eval", 2)):
        stored = statistics_pb2.DatasetFeatureStatisticsList()
        data = stored.datasets.add(num_examples=passages)
        data.features.add(path={"step": ["length"]}).num_stats.mean = 1999.5
        data.features.add(path={"step": ["document"]}).string_stats.unique = 2
        folder = tmp_path / f"Split-{name}"
        folder.mkdir()
        (folder / "FeatureStats.pb").write_bytes(stored.SerializeToString())
    assert splits.read(str(tmp_path)) == [Split("eval", 2, 2, 3999), Split("train", 2, 8, 15996)]
    assert splits.read(str(tmp_path / "deleted")) == []
