"""Rehearsal of the pipeline compiled for Vertex AI Pipelines, and training on two workers.

Vertex AI's service, images and machines are not tested; local directories stand for its buckets.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kubeflow.compile import tfjob
from kubeflow.compile.compiler import compile_pipeline
from tests import ports, warm
from tests.kubeflow.rehearsed import TASKS, Workspace

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """One run; minutes."""
    workspace = Workspace("vertex", tmp_path_factory.mktemp("rehearsal"))
    workspace.run("first")
    return workspace


@pytest.mark.e2e
def test_first_run_has_no_baseline_and_pushes_its_model(workspace: Workspace) -> None:
    first = workspace.runs["first"]
    assert first.outcomes.keys() == TASKS
    assert first.metadata("Evaluator", "blessing")["blessed"] == 1
    assert first.metadata("LastBlessed", "baseline")["copied_from"] == ""
    assert first.versions == ["1"]
    report = Path(first.outcomes["Report"].artifacts["report"]["uri"])
    assert "Blessed; version 1 pushed" in report.read_text(encoding="utf-8")
    assert first.metadata("Report", "metrics")["perplexity"] > 1


@pytest.mark.e2e
def test_artifacts_are_directories_that_every_task_can_open(workspace: Workspace) -> None:
    for run in workspace.runs.values():
        assert run.uris()
        assert all(Path(uri).exists() for uri in run.uris())


@pytest.mark.e2e
@pytest.mark.slow
def test_two_workers_write_one_export_and_one_checkpoint(workspace: Workspace, tmp_path: Path) -> None:
    transform = {}
    for name, artifact in workspace.runs["first"].outcomes["Transform"].artifacts.items():
        # Workers can read the state volume.
        transform[name] = str(tmp_path / "state" / "copied" / name)
        shutil.copytree(artifact["uri"], transform[name])
    cluster = workspace.config.cluster.model_copy(update={"root": str(tmp_path / "state"), "image": "i:1"})
    training = workspace.config.training.model_copy(update={"steps": 20, "eval_every": 10})
    config = workspace.config.model_copy(update={"cluster": cluster, "training": training})
    job = tfjob.manifest(
        config,
        compile_pipeline(config, "kfp", rehearse=True),
        transform["transformed_examples"],
        transform["transform_graph"],
    )
    (container,) = job["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"]
    addresses = [f"127.0.0.1:{ports.free()}" for _ in range(2)]
    started = []
    for index in range(2):
        temporary = tmp_path / f"worker-{index}"
        temporary.mkdir()
        environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(warm.python()).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(temporary),
            "TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}),
        }
        command = [*container["command"], *(argument.replace("$$(", "$(") for argument in container["args"])]
        started.append(
            subprocess.Popen(
                command, cwd=temporary, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        )
    try:
        outputs = [process.communicate(timeout=600)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], "\n".join(output[-3000:] for output in outputs)
    losses = [re.findall(r"eval loss ([\d.]+) nats", output) for output in outputs]
    assert losses[0]
    assert losses[0] == losses[1]
    assert "MultiWorkerMirroredStrategy, 2 processes" in outputs[0]
    # One export, where the pipeline's Trainer looks for it, and one checkpoint.
    (export,) = (tmp_path / "state" / "checkpoints").glob("*/export-*")
    assert (export / "saved_model.pb").is_file()
    assert len(list((tmp_path / "state").rglob("ckpt-*.index"))) == 1
    assert not list(tmp_path.glob("worker-*/**/ckpt-*"))
    assert not list(tmp_path.glob("worker-*/worker-*"))  # where the second one's outputs were diverted to
