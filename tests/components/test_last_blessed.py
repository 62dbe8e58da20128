"""The model to compare with is the newest registered one that still exists and is not the candidate."""

from pathlib import Path

from tfx.types import standard_artifacts

from components import registry, versions
from components.last_blessed import LastBlessed, find


def model_at(path: Path, content: str = "graph") -> str:
    path.mkdir(parents=True)
    (path / "saved_model.pb").write_text(content)
    return str(path)


def record(tmp_path: Path, version: int, digest: str) -> None:
    """Register a version whose model and served copy may or may not exist."""
    model, served = str(tmp_path / f"model-{version}"), str(tmp_path / f"served-{version}")
    entry = registry.Entry(version, digest, f"run {version}", model, served, 4.5, 2.17, "mine", "2026-01-02T03:04:05")
    registry.record(str(tmp_path / "registry"), entry)


def found(tmp_path: Path, candidate: str = "candidate") -> str | None:
    path = find(str(tmp_path / "registry"), candidate)
    return path and Path(path).name


def test_without_a_registry_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    assert found(tmp_path) is None


def test_the_newest_model_is_found(tmp_path: Path) -> None:
    for version in (1, 2, 10):
        record(tmp_path, version, f"digest {version}")
        model_at(tmp_path / f"model-{version}")
        model_at(tmp_path / f"served-{version}")
    assert found(tmp_path) == "model-10"


def test_the_candidate_is_never_compared_with_itself(tmp_path: Path) -> None:
    for version, digest in ((1, "other"), (2, "candidate"), (3, "candidate")):
        record(tmp_path, version, digest)
        model_at(tmp_path / f"model-{version}")
    assert found(tmp_path) == "model-1"
    assert found(tmp_path, "other") == "model-3"


def test_where_the_trained_model_is_gone_the_served_copy_does(tmp_path: Path) -> None:
    record(tmp_path, 1, "digest")
    (tmp_path / "model-1").mkdir()  # not whole
    model_at(tmp_path / "served-1")
    assert found(tmp_path) == "served-1"


def test_a_model_that_is_gone_altogether_gives_way_to_an_older_one(tmp_path: Path) -> None:
    record(tmp_path, 1, "first")
    record(tmp_path, 2, "second")
    model_at(tmp_path / "served-1")
    assert found(tmp_path) == "served-1"


def called(tmp_path: Path) -> standard_artifacts.Model:
    candidate, baseline = standard_artifacts.Model(), standard_artifacts.Model()
    candidate.uri, baseline.uri = str(tmp_path / "candidate"), str(tmp_path / "baseline")
    model_at(tmp_path / "candidate" / "Format-Serving", "candidate")
    LastBlessed.test_call(
        candidate=candidate, baseline=baseline, registry_directory=str(tmp_path / "registry"), newest="", sources=""
    )
    return baseline


def test_the_component_hands_on_a_copy(tmp_path: Path) -> None:
    record(tmp_path, 1, "digest")
    model = model_at(tmp_path / "model-1", "blessed")
    baseline = called(tmp_path)
    assert versions.digest(str(tmp_path / "baseline" / "Format-Serving")) == versions.digest(model)
    assert baseline.get_string_custom_property("copied_from") == model


def test_the_component_leaves_the_baseline_empty_when_only_the_candidate_is_registered(tmp_path: Path) -> None:
    candidate = model_at(tmp_path / "model-1", "candidate")
    record(tmp_path, 1, versions.digest(candidate))
    baseline = called(tmp_path)
    assert not (tmp_path / "baseline" / "Format-Serving").exists()
    assert baseline.get_string_custom_property("copied_from") == ""
