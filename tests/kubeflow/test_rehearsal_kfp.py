"""Rehearsal of the pipeline compiled for open-source Kubeflow Pipelines, one process per task.

The first run is under the releases with ML Metadata, the second under those without. Pods, images and volumes of a
cluster are not tested.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from components.errors import UserError
from components.models import registry, versions
from kubeflow import rehearsal
from kubeflow.__main__ import main
from kubeflow.compile.compiler import compile_pipeline
from tests import warm
from tests.kubeflow.rehearsed import MORE_STEPS, TASKS, Workspace

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two runs, one after the other, and the version of the first is pruned before the second; minutes."""
    workspace = Workspace("kfp", tmp_path_factory.mktemp("rehearsal"))
    workspace.run("first")
    versions.delete(str(workspace.path / "serving" / "char_rnn"), 1)
    workspace.run("changed", MORE_STEPS, backend="kfp-next")
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


def test_changed_model_is_compared_with_the_last_blessed_one_that_was_pruned(workspace: Workspace) -> None:
    changed = workspace.runs["changed"]
    assert "best eval loss" in changed.outcomes["Trainer"].output
    # A pod cannot read artifacts of previous runs, and nothing is served: the export in the state volume remains.
    baseline = changed.outcomes["LastBlessed"].artifacts["baseline"]
    assert Path(baseline["metadata"]["copied_from"]).is_relative_to(workspace.path / "state" / "checkpoints")
    stored = Path(str(workspace.path / "bucket"), baseline["uri"].removeprefix("minio://bucket/"))
    assert list(stored.rglob("saved_model.pb")), "the baseline is in the bucket"
    assert changed.metadata("Evaluator", "blessing")["baseline_model"] == baseline["uri"]
    uri = changed.outcomes["Evaluator"].artifacts["evaluation"]["uri"]
    thresholds = (workspace.path / "bucket" / uri.removeprefix("minio://bucket/") / "eval_config.json").read_text()
    assert "59.0" in thresholds, "the threshold of this run"
    assert changed.versions == ["2"]


def test_user_interface_shows_metrics_and_a_page_of_each_run(workspace: Workspace) -> None:
    entries = {entry.version: entry for entry in registry.entries(str(workspace.path / "state/registry/char_rnn"))}
    for version, run in ((1, workspace.runs["first"]), (2, workspace.runs["changed"])):
        metrics = run.metadata("Report", "metrics")
        assert metrics["perplexity"] == pytest.approx(entries[version].perplexity)
        assert ("baseline_perplexity" in metrics) == (version == 2)
        uri = run.outcomes["Report"].artifacts["report"]["uri"]
        page = (workspace.path / "bucket" / uri.removeprefix("minio://bucket/")).read_text(encoding="utf-8")
        assert f"Blessed; version {version} pushed" in page
        assert 'aria-label="Loss of training and evaluation by step' in page
        for shown in (
            "<h2>Hardest passages</h2>",
            "No anomalies: all records match",
            "with their share of the train split",
        ):
            assert shown in page
        assert '<tr><td>train</td><td class="number">1</td>' in page


def test_artifacts_are_in_the_object_store(workspace: Workspace) -> None:
    for run in workspace.runs.values():
        assert run.uris()
        assert all(uri.startswith("minio://bucket/") for uri in run.uris())


def test_nothing_that_a_later_pod_reads_names_a_path_of_an_earlier_pod(workspace: Workspace) -> None:
    pods = re.compile(f"{workspace.path}/({'|'.join(TASKS)})-")
    for run in workspace.runs.values():
        for task, outcome in run.outcomes.items():
            assert not pods.search(json.dumps(outcome.artifacts)), task
    written = [path for place in ("bucket", "state", "serving") for path in (workspace.path / place).rglob("*.*")]
    texts = [path for path in written if path.suffix in (".json", ".txt", ".pbtxt")]
    assert {"1.json", "2.json", "eval_config.json"} <= {path.name for path in texts}
    assert [path for path in texts if pods.search(path.read_text(encoding="utf-8"))] == []


def test_bad_value_of_a_run_fails_its_first_task_and_is_reported(
    workspace: Workspace, tmp_path: Path, webhook: Any
) -> None:
    cluster = {"failure_webhook": f"http://127.0.0.1:{webhook.server_port}/T1"}
    config = workspace.config.model_copy(update={"cluster": workspace.config.cluster.model_copy(update=cluster)})
    text = compile_pipeline(config, "kfp", rehearse=True)
    with (
        mock.patch.object(sys, "executable", warm.python()),
        pytest.raises(
            UserError, match="CorpusExampleGen failed .*training.steps should be .*Received: training.steps=0"
        ),
    ):
        rehearsal.run(text, "kfp-next", tmp_path, {"training": '{"steps": 0}'})
    ((_, _, report),) = webhook.received
    assert report["text"].startswith("char-rnn: run run-")
    assert "failed. The task CorpusExampleGen failed" in report["text"]


def test_bulk_job_uses_the_pushed_model(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "serving").symlink_to(workspace.path / "serving")
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "The "}\n{"text": ""}\n')
    run = {"input": tmp_path / "prompts.jsonl", "output": tmp_path / "texts.jsonl", "options": "--chars 9 --seed 4"}
    parameters = [f"--param={name}={value}" for name, value in run.items()]
    with mock.patch.object(sys, "executable", warm.python()):
        assert main(["rehearse", "--pipeline", "bulk", "--workspace", str(tmp_path), *parameters]) == 0
    assert capsys.readouterr().out.startswith("BulkInference: ")
    first, second = map(json.loads, (tmp_path / "texts.jsonl").read_text().splitlines())
    assert (first["seed"], len(first["text"]), second["line"]) == (4, 9, 2)
    (manifest,) = (tmp_path / "bucket").rglob("manifest.json")
    assert json.loads(manifest.read_text()) == json.loads((tmp_path / "texts.jsonl.shards/manifest.json").read_text())
    assert second["error"].startswith("A line may have the keys")
