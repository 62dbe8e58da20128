"""Rehearsal of the pipeline compiled for open-source Kubeflow Pipelines, one process per task.

Pods, images, volumes and ML Metadata of a cluster are not tested.
"""

from pathlib import Path

import pytest

from components.models import registry
from tests.kubeflow.rehearsed import MORE_STEPS, TASKS, Workspace

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two runs, one after the other; minutes."""
    workspace = Workspace("kfp", tmp_path_factory.mktemp("rehearsal"))
    workspace.run("first")
    workspace.run("changed", MORE_STEPS)
    return workspace


def test_first_run_pushes_and_registers_a_model(workspace: Workspace) -> None:
    first = workspace.runs["first"]
    assert first.outcomes.keys() == TASKS
    assert first.versions == ["1"]
    assert first.metadata("Evaluator", "blessing")["blessed"] == 1
    assert first.metadata("LastBlessed", "baseline")["copied_from"] == ""
    assert "best eval loss" in first.outcomes["Trainer"].output
    (entry, *_) = registry.entries(str(workspace.path / "state" / "registry" / "char_rnn"))
    assert (entry.version, entry.corpus) == (1, "sample")


@pytest.mark.slow
def test_unchanged_corpus_is_ingested_again_but_nothing_is_trained_or_pushed(workspace: Workspace) -> None:
    workspace.run("unchanged", MORE_STEPS)
    unchanged = workspace.runs["unchanged"]
    assert unchanged.outcomes.keys() == TASKS
    assert "corpus sample: 1 documents" in unchanged.outcomes["CorpusExampleGen"].output
    assert "Reusing the finished export" in unchanged.outcomes["Trainer"].output
    assert "best eval loss" not in unchanged.outcomes["Trainer"].output
    assert unchanged.metadata("Pusher", "pushed_model")["pushed"] == 0
    assert unchanged.versions == ["1", "2"]


def test_changed_model_is_compared_with_the_last_blessed_one_and_pushed(workspace: Workspace) -> None:
    changed = workspace.runs["changed"]
    assert "best eval loss" in changed.outcomes["Trainer"].output
    # A pod cannot read artifacts of previous runs; the export in the state volume is still there.
    copied_from = changed.metadata("LastBlessed", "baseline")["copied_from"]
    assert copied_from.startswith(str(workspace.path / "state" / "checkpoints"))
    stored = Path(str(workspace.path / "bucket"), changed.outcomes["LastBlessed"].artifacts["baseline"]["uri"][15:])
    assert list(stored.rglob("saved_model.pb")), "the baseline is in the bucket"
    assert changed.versions == ["1", "2"]


def test_artifacts_are_in_the_object_store(workspace: Workspace) -> None:
    for run in workspace.runs.values():
        assert run.uris()
        assert all(uri.startswith("minio://bucket/") for uri in run.uris())
