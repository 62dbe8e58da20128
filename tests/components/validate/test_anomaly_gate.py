"""Every anomaly is described in a sentence and stops the run."""

from pathlib import Path

import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.types import standard_artifacts

from components.errors import UserError
from components.validate.anomaly_gate import AnomalyGate, describe

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


def test_description_has_split_feature_and_problem() -> None:
    assert describe("eval", anomalies(SHORT)) == [
        "eval split, length: Out-of-range values (Unexpectedly low values: 3 < 16)."
    ]


def test_anomalies_of_features_data_set_and_missing_data_are_described() -> None:
    assert describe("train", anomalies(SEVERAL)) == [
        "train split, records: Bad (Worse).",
        "train split, text: Column dropped (Column is missing).",
        "train split: Too few examples.",
        "train split: it has no records.",
    ]


def test_description_of_no_anomaly_is_empty() -> None:
    assert describe("train", anomalies("baseline {} ")) == []


def validated(tmp_path: Path, **splits: str) -> standard_artifacts.ExampleAnomalies:
    artifact = standard_artifacts.ExampleAnomalies()
    artifact.uri = str(tmp_path)
    artifact.split_names = "[" + ", ".join(f'"{split}"' for split in splits) + "]"
    for split, text in splits.items():
        (tmp_path / f"Split-{split}").mkdir()
        (tmp_path / f"Split-{split}" / "SchemaDiff.pb").write_bytes(anomalies(text).SerializeToString())
    return artifact


def test_gate_accepts_clean_data(tmp_path: Path) -> None:
    assert AnomalyGate.test_call(anomalies=validated(tmp_path, train="", eval=""), sources="") is None


def test_gate_reports_the_anomalies_of_all_splits(tmp_path: Path) -> None:
    with pytest.raises(UserError) as stopped:
        AnomalyGate.test_call(anomalies=validated(tmp_path, train="data_missing: true", eval=SHORT), sources="")
    assert "train split: it has no records. eval split, length: Out-of-range values" in str(stopped.value)


def test_gate_fails_without_a_validation_result(tmp_path: Path) -> None:
    artifact = validated(tmp_path, train="", eval="")
    (tmp_path / "Split-eval" / "SchemaDiff.pb").unlink()
    with pytest.raises(tf.errors.NotFoundError, match="SchemaDiff.pb"):
        AnomalyGate.test_call(anomalies=artifact, sources="")
