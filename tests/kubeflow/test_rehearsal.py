"""The whole pipeline from the compiled file: every task a process of its own with the container's very command.

Pods, images, volumes and ML Metadata of a real cluster are not touched; Vertex's buckets are local directories.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components import registry
from components.errors import UserError
from kubeflow import rehearsal, tfjob
from kubeflow.compiler import compile_pipeline
from pipeline import overrides
from pipeline.config import Config

ROOT = Path(__file__).resolve().parents[2]

TASKS = {"CorpusExampleGen", "StatisticsGen", "ImportSchemaGen", "ExampleValidator", "AnomalyGate", "Transform"}
TASKS |= {"Trainer", "LastBlessed", "Evaluator", "InfraCheck", "Pusher"}


@dataclass(frozen=True)
class Rehearsed:
    """One rehearsal: what each task gave, what it cost, and the versions served afterwards."""

    outcomes: dict[str, Any]
    versions: list[str]
    backend: str


SMALL = [
    "corpus.source=sample",
    "model.units=48",
    "model.embedding=8",
    "training.batch_size=16",
    "training.sequence_length=50",
    "training.steps=150",
    "training.eval_every=75",
    "training.learning_rate=0.01",
    "training.precision=float32",
    "training.sample_chars=0",
    "evaluation.threshold=60.0",
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stands for the bucket and both volumes."""
    return tmp_path_factory.mktemp("rehearsal")


@pytest.fixture(scope="module")
def rehearsed_config(workspace: Path) -> Config:
    """The real configuration, shrunk, with its volumes in the workspace."""
    places = [f"cluster.root={workspace}/state", f"cluster.serving_dir={workspace}/serving"]
    return overrides.load("quick", [*SMALL, *places])


@pytest.fixture(scope="module")
def rehearsals(workspace: Path, rehearsed_config: Config) -> dict[str, Rehearsed]:
    """Three runs on the same volumes, one after the other; minutes."""

    def run(backend: str, parameters: dict[str, str]) -> Rehearsed:
        text = compile_pipeline(rehearsed_config, backend, rehearse=True)
        outcomes = rehearsal.run(text, backend, workspace, parameters)
        served = sorted(path.name for path in (workspace / "serving" / "char_rnn").iterdir())
        return Rehearsed(outcomes, served, backend)

    return {
        "first": run("vertex", {}),
        "unchanged": run("kfp", {}),
        "changed": run("kfp", {"training": '{"steps": 200}'}),
    }


@pytest.mark.e2e
def test_the_first_run_ends_with_a_pushed_and_registered_model(rehearsals: dict[str, Any], workspace: Path) -> None:
    first = rehearsals["first"]
    assert first.outcomes.keys() == TASKS
    assert first.versions == ["1"]
    assert metadata(first, "Evaluator", "blessing")["blessed"] == 1
    assert metadata(first, "LastBlessed", "baseline")["copied_from"] == ""
    assert "best eval loss" in first.outcomes["Trainer"].output
    (entry, *_) = registry.entries(str(workspace / "state" / "registry" / "char_rnn"))
    assert (entry.version, entry.corpus) == (1, "sample")


@pytest.mark.e2e
def test_an_unchanged_corpus_is_read_again_and_nothing_is_trained_or_pushed(rehearsals: dict[str, Any]) -> None:
    """The second run goes by the rules of the other back end, and still finds what the first has trained."""
    unchanged = rehearsals["unchanged"]
    assert unchanged.outcomes.keys() == TASKS
    assert "corpus sample: 1 documents" in unchanged.outcomes["CorpusExampleGen"].output
    assert "its export is used again" in unchanged.outcomes["Trainer"].output
    assert "best eval loss" not in unchanged.outcomes["Trainer"].output
    assert metadata(unchanged, "Pusher", "pushed_model")["pushed"] == 0
    assert unchanged.versions == ["1"]


@pytest.mark.e2e
def test_another_model_meets_the_last_blessed_one_and_is_pushed(rehearsals: dict[str, Any], workspace: Path) -> None:
    changed = rehearsals["changed"]
    assert "best eval loss" in changed.outcomes["Trainer"].output
    # Artifacts of former runs are not in a pod's reach, so the copy that is served is the baseline.
    assert metadata(changed, "LastBlessed", "baseline")["copied_from"]
    stored = Path(str(workspace / "bucket"), changed.outcomes["LastBlessed"].artifacts["baseline"]["uri"][15:])
    assert list(stored.rglob("saved_model.pb")), "the baseline went through the bucket"
    assert changed.versions == ["1", "2"]


def metadata(run: Any, task: str, output: str) -> dict[str, Any]:
    found: dict[str, Any] = run.outcomes[task].artifacts[output]["metadata"]
    return found


@pytest.mark.e2e
def test_artifacts_keep_the_names_of_their_back_end(rehearsals: dict[str, Any]) -> None:
    for run in rehearsals.values():
        for outcome in run.outcomes.values():
            for artifact in outcome.artifacts.values():
                assert artifact["uri"].startswith("minio://bucket/") == (run.backend == "kfp")


SPEC = """
pipelineInfo: {name: small}
schemaVersion: 2.1.0
root:
  dag: {tasks: {A: {componentRef: {name: A}, taskInfo: {name: A}}}}
  inputDefinitions: {parameters: {corpus: {parameterType: STRING, defaultValue: sample, isOptional: true}}}
components: {A: {executorLabel: A_executor}}
deploymentSpec: {executors: {A_executor: {container: {image: i, command: [python], args: [%s]}}}}
"""


def test_a_task_that_fails_ends_the_rehearsal_with_what_it_said(tmp_path: Path) -> None:
    text = SPEC % """-c, "import sys; print('no luck'); sys.exit(3)" """
    with pytest.raises(UserError, match=r"(?s)task A ended with code 3.*no luck"):
        rehearsal.run(text, "kfp", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == []


def test_an_unknown_field_or_parameter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such parameter"):
        rehearsal.run(SPEC % "-V", "kfp", tmp_path, {"steps": "3"})
    with pytest.raises(Exception, match="unknown"):
        rehearsal.run((SPEC % "-V") + "unknown: 1\n", "kfp", tmp_path)


def test_an_object_store_keeps_files_and_no_empty_directories(tmp_path: Path) -> None:
    (tmp_path / "a" / "empty").mkdir(parents=True)
    (tmp_path / "a" / "full").mkdir()
    (tmp_path / "a" / "full" / "file").write_text("x")
    rehearsal._copy_files(tmp_path / "a", tmp_path / "b")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted((tmp_path / "b").rglob("*"))] == [
        "b/full",
        "b/full/file",
    ]


def test_metadata_comes_back_as_ml_metadata_gives_it() -> None:
    values = [True, ["a"], {"k": 1}, "x", 2.0]
    assert [rehearsal._wrapped(value) for value in values] == [1, {"list": ["a"]}, {"struct": {"k": 1}}, "x", 2.0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _weights(checkpoints: Path) -> dict[str, np.ndarray]:
    import tensorflow as tf

    (index,) = checkpoints.rglob("ckpt-*.index")
    reader = tf.train.load_checkpoint(str(index).removesuffix(".index"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if name.startswith("weights")}


@pytest.mark.e2e
def test_two_workers_end_in_one_export_and_identical_weights(
    rehearsals: dict[str, Any], rehearsed_config: Config, workspace: Path, tmp_path: Path
) -> None:
    transform = {}
    for name, artifact in rehearsals["first"].outcomes["Transform"].artifacts.items():
        # Workers see what lies in the state volume.
        transform[name] = str(tmp_path / "state" / "copied" / name)
        shutil.copytree(artifact["uri"], transform[name])
    cluster = rehearsed_config.cluster.model_copy(update={"root": str(tmp_path / "state"), "image": "i:1"})
    training = rehearsed_config.training.model_copy(update={"steps": 20, "eval_every": 10})
    config = rehearsed_config.model_copy(update={"cluster": cluster, "training": training})
    job = tfjob.manifest(
        config,
        compile_pipeline(config, "kfp", rehearse=True),
        transform["transformed_examples"],
        transform["transform_graph"],
    )
    (container,) = job["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"]
    addresses = [f"127.0.0.1:{_free_port()}" for _ in range(2)]
    started = []
    for index in range(2):
        temporary = tmp_path / f"worker-{index}"
        temporary.mkdir()
        environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
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
    assert "MultiWorkerMirroredStrategy, 2 workers" in outputs[0]
    # One export, where the pipeline's Trainer looks for it; the other worker's checkpoint is its own and the same.
    (export,) = (tmp_path / "state" / "checkpoints").glob("*/export-*")
    assert (export / "saved_model.pb").is_file()
    chief, other = _weights(tmp_path / "state" / "checkpoints"), _weights(tmp_path / "worker-1")
    assert chief
    assert chief.keys() == other.keys()
    for name, value in chief.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)
