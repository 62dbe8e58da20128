"""Three runs under each backend. The default run of the tests has a part of them: test_rehearsal_kfp, _vertex."""

from pathlib import Path

import pytest

from tests.kubeflow.rehearsed import MORE_STEPS, TASKS, Workspace

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.mark.parametrize("backend", ["kfp", "kfp-next", "vertex"])
def test_first_run_pushes_an_unchanged_one_reuses_and_a_changed_one_finds_the_baseline(
    backend: str, tmp_path: Path
) -> None:
    workspace = Workspace(backend, tmp_path)

    workspace.run("first")
    first = workspace.runs["first"]
    assert first.outcomes.keys() == TASKS
    assert "best eval loss" in first.outcomes["Trainer"].output
    assert first.metadata("LastBlessed", "baseline")["copied_from"] == ""
    assert first.metadata("Evaluator", "blessing")["blessed"] == 1
    assert first.versions == ["1"]

    workspace.run("unchanged")
    unchanged = workspace.runs["unchanged"]
    assert unchanged.outcomes.keys() == TASKS
    assert "corpus sample: 1 documents" in unchanged.outcomes["CorpusExampleGen"].output, "ingested again"
    assert "Reusing the finished export" in unchanged.outcomes["Trainer"].output
    assert "best eval loss" not in unchanged.outcomes["Trainer"].output
    assert unchanged.metadata("Pusher", "pushed_model")["pushed"] == 0
    assert unchanged.versions == ["1"]

    workspace.run("changed", MORE_STEPS)
    changed = workspace.runs["changed"]
    assert "best eval loss" in changed.outcomes["Trainer"].output
    baseline = changed.outcomes["LastBlessed"].artifacts["baseline"]
    assert baseline["metadata"]["copied_from"]
    assert changed.metadata("Evaluator", "blessing")["baseline_model"] == baseline["uri"]
    assert changed.versions == ["1", "2"]
