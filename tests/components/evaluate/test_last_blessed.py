"""The baseline is copied; `registry.newest_other` chooses it, see tests/components/models/test_registry.py."""

from pathlib import Path

import pytest
from tfx.types import standard_artifacts

from components.evaluate.last_blessed import LastBlessed
from components.models import registry, versions

pytestmark = pytest.mark.integration


def model_at(path: Path, content: str = "graph") -> str:
    path.mkdir(parents=True)
    (path / "saved_model.pb").write_text(content)
    return str(path)


def record(tmp_path: Path, version: int, digest: str) -> None:
    """Register a version whose model and served copy may or may not exist."""
    model, served = str(tmp_path / f"model-{version}"), str(tmp_path / f"served-{version}")
    entry = registry.Entry(
        version, digest, f"run {version}", model, served, 4.5, 2.17, "mine", "2026-01-02T03:04:05", "e"
    )
    registry.record(str(tmp_path / "registry"), entry)


def called(tmp_path: Path) -> standard_artifacts.Model:
    candidate, baseline = standard_artifacts.Model(), standard_artifacts.Model()
    candidate.uri, baseline.uri = str(tmp_path / "candidate"), str(tmp_path / "baseline")
    model_at(tmp_path / "candidate" / "Format-Serving", "candidate")
    LastBlessed.test_call(
        candidate=candidate, baseline=baseline, registry_directory=str(tmp_path / "registry"), newest="", sources=""
    )
    return baseline


def test_without_a_registry_the_baseline_is_empty(tmp_path: Path) -> None:
    assert called(tmp_path).get_string_custom_property("copied_from") == ""


def test_baseline_is_a_copy(tmp_path: Path) -> None:
    model = model_at(tmp_path / "model-1", "blessed")
    record(tmp_path, 1, versions.digest(model))
    baseline = called(tmp_path)
    assert versions.digest(str(tmp_path / "baseline" / "Format-Serving")) == versions.digest(model)
    assert baseline.get_string_custom_property("copied_from") == model
    assert baseline.get_string_custom_property("missing") == ""
    assert baseline.get_int_custom_property("version") == 1
    assert baseline.get_string_custom_property("eval_digest") == "e"


def test_missing_baseline_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    record(tmp_path, 1, "digest")
    baseline = called(tmp_path)
    assert not (tmp_path / "baseline" / "Format-Serving").exists()
    missing = baseline.get_string_custom_property("missing")
    assert missing.startswith("the last blessed model, version 1, is neither at ")
    assert missing in caplog.text


def test_baseline_is_empty_if_only_the_candidate_is_registered(tmp_path: Path) -> None:
    candidate = model_at(tmp_path / "model-1", "candidate")
    record(tmp_path, 1, versions.digest(candidate))
    baseline = called(tmp_path)
    assert not (tmp_path / "baseline" / "Format-Serving").exists()
    assert baseline.get_string_custom_property("copied_from") == ""
