"""Every anomaly in words, and none of them passes the gate."""

from pathlib import Path

import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.types import standard_artifacts

from components.errors import UserError
from components.validate.anomaly_gate import AnomalyGate, in_words

pytestmark = pytest.mark.integration

SHORT = """
anomaly_info {
  key: "length"
  value { short_description: "Out-of-range values." description: "Unexpectedly low values: 3 < 16." }
}
"""
SEVERAL = """
anomaly_info { key: "text" value { short_description: "Column dropped" description: "Column is missing" } }
anomaly_info { key: "" value { short_description: "Bad" description: "Worse" } }
dataset_anomaly_info { description: "Too few examples." }
data_missing: true
"""


def anomalies(text: str) -> anomalies_pb2.Anomalies:
    return text_format.Parse(text, anomalies_pb2.Anomalies())


def test_an_anomaly_names_split_feature_and_what_is_wrong() -> None:
    assert in_words("eval", anomalies(SHORT)) == [
        "eval split, length: Out-of-range values (Unexpectedly low values: 3 < 16)."
    ]


def test_anomalies_of_features_of_the_data_set_and_of_missing_data_are_all_told() -> None:
    assert in_words("train", anomalies(SEVERAL)) == [
        "train split, records: Bad (Worse).",
        "train split, text: Column dropped (Column is missing).",
        "train split: Too few examples.",
        "train split: it has no records.",
    ]


def test_no_anomaly_needs_no_words() -> None:
    assert in_words("train", anomalies("baseline {} ")) == []


def validated(tmp_path: Path, **splits: str) -> standard_artifacts.ExampleAnomalies:
    artifact = standard_artifacts.ExampleAnomalies()
    artifact.uri = str(tmp_path)
    artifact.split_names = "[" + ", ".join(f'"{split}"' for split in splits) + "]"
    for split, text in splits.items():
        (tmp_path / f"Split-{split}").mkdir()
        (tmp_path / f"Split-{split}" / "SchemaDiff.pb").write_bytes(anomalies(text).SerializeToString())
    return artifact


def test_the_gate_lets_clean_data_pass(tmp_path: Path) -> None:
    assert AnomalyGate.test_call(anomalies=validated(tmp_path, train="", eval=""), sources="") is None


def test_the_gate_stops_at_an_anomaly_of_any_split_and_tells_all_of_them(tmp_path: Path) -> None:
    with pytest.raises(UserError) as stopped:
        AnomalyGate.test_call(anomalies=validated(tmp_path, train="data_missing: true", eval=SHORT), sources="")
    assert "train split: it has no records. eval split, length: Out-of-range values" in str(stopped.value)


def test_the_gate_does_not_pass_what_was_never_validated(tmp_path: Path) -> None:
    artifact = validated(tmp_path, train="", eval="")
    (tmp_path / "Split-eval" / "SchemaDiff.pb").unlink()
    with pytest.raises(tf.errors.NotFoundError, match="SchemaDiff.pb"):
        AnomalyGate.test_call(anomalies=artifact, sources="")
