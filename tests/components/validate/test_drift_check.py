"""New spans are compared with the text of the last blessed model; a difference is a warning or stops the run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList as Statistics
from tfx.types import standard_artifacts

from components.errors import UserError
from components.models import registry
from components.validate import text_statistics
from components.validate.drift_check import DriftCheck
from components.validate.text_statistics import TextCounts, shares
from tests.components.validate.test_drift import EARLIER, LATER, THRESHOLDS

pytestmark = pytest.mark.integration
OTHER = LATER.replace("e", "\u00e9")


def example(document: str, text: str) -> bytes:
    values = {"document": document.encode(), "text": text.encode()}
    features = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for name, value in values.items()}
    features["position"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[0]))
    return bytes(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def registered(tmp_path: Path, text: str, spans: str = "") -> None:
    counts = TextCounts("file")
    counts.add("1/a.txt", text, True)
    registry.record(str(tmp_path / "registry"), registry.Entry(7, "digest", spans=spans))
    Path(registry.text_path(str(tmp_path / "registry"), 7)).write_bytes(counts.statistics().SerializeToString())


def checked(tmp_path: Path, texts: Mapping[str, str], spans: str = "", action: str = "warn", newest: str = "") -> Any:
    artifacts = (
        standard_artifacts.Examples(),
        standard_artifacts.ExampleStatistics(),
        standard_artifacts.ExampleAnomalies(),
    )
    for name, artifact in zip(("examples", "statistics", "anomalies"), artifacts):
        artifact.uri = str(tmp_path / name)
    examples, statistics, anomalies = artifacts
    examples.split_names = '["train", "eval"]'
    examples.set_string_custom_property("spans", spans)
    (tmp_path / "examples" / "Split-train").mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(tmp_path / "examples" / "Split-train" / "data-0.gz"), "GZIP") as writer:
        for document, text in texts.items():
            writer.write(example(document, text))
    DriftCheck.test_call(
        examples=examples,
        statistics=statistics,
        anomalies=anomalies,
        registry_directory=str(tmp_path / "registry"),
        newest=newest,
        documents="file",
        thresholds=THRESHOLDS,
        action=action,
        sources="",
    )
    return anomalies.get_string_custom_property("drift")


def test_first_run_writes_statistics_and_compares_nothing(tmp_path: Path) -> None:
    assert checked(tmp_path, {"a.txt": OTHER}) == ""
    written = Statistics.FromString(Path(text_statistics.path(str(tmp_path / "statistics"))).read_bytes())
    assert "\u00e9" in shares(written, "character")


def test_only_spans_that_the_last_blessed_model_does_not_know_are_compared(tmp_path: Path) -> None:
    registered(tmp_path, EARLIER, "1,2")
    assert checked(tmp_path, {"1/a.txt": OTHER, "2/a.txt": OTHER, "3/a.txt": LATER}, "1,2,3") == ""
    assert checked(tmp_path, {"1/a.txt": OTHER, "2/a.txt": OTHER}, "1,2") == "", "no new span"
    words = checked(tmp_path, {"2/a.txt": EARLIER, "3/a.txt": OTHER, "3/b.txt": LATER}, "2,3")
    assert words.startswith("The new text differs from the one that version 7 was trained on. The characters have a ")
    assert words.endswith(" Furthest away: '3/a.txt', '3/b.txt'.")


def test_earlier_text_counts_as_repeated_in_new_spans_only(tmp_path: Path) -> None:
    registered(tmp_path, EARLIER, "1")
    assert "of the passages repeat an earlier one" in checked(tmp_path, {"2/a.txt": EARLIER[:9_000]}, "2")
    assert checked(tmp_path, {"a.txt": EARLIER + LATER}) == ""


def test_stop_ends_the_run_with_the_sentences_and_the_advice(tmp_path: Path) -> None:
    registered(tmp_path, EARLIER)
    with pytest.raises(UserError, match="differs from the one that version 7 .*set validation.drift=warn.* Received: "):
        checked(tmp_path, {"a.txt": OTHER}, action="stop")
    assert checked(tmp_path, {"a.txt": EARLIER}, action="stop") == "", "the same text"
    assert checked(tmp_path, {"a.txt": OTHER}, action="off") == ""
    assert checked(tmp_path, {"a.txt": OTHER}, newest="another digest") == ""
