"""The manifest, and its very command run by two workers on loopback. The training operator is not touched."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import numpy as np
import pytest

from components.errors import UserError
from kubeflow import tfjob
from kubeflow.compiler import compile_pipeline
from pipeline import overrides
from pipeline.config import Config

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def text() -> str:
    return compile_pipeline(overrides.load("quick", SETTINGS), "kfp")


SETTINGS = ["cluster.image=i:1", "corpus.source=sample", "cluster.workers=3", "cluster.pods.Trainer.gpus=1"]
SETTINGS += ['cluster.pods.Trainer.node_selector=["pool=gpu"]', 'cluster.pods.Trainer.tolerations=[{key="gpu"}]']


def test_every_worker_runs_the_trainers_command_in_a_valid_pod(text: str) -> None:
    config = overrides.load("quick", SETTINGS)
    job = tfjob.manifest(config, text, "gs://b/examples", "gs://b/graph")
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "TFJob")
    worker = job["spec"]["tfReplicaSpecs"]["Worker"]
    assert worker["replicas"] == 3
    # The operator's own schema is not at hand; the pods in it are Kubernetes'.
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": dict(worker["template"]["spec"])}
    pod["spec"]["restartPolicy"] = worker["restartPolicy"]
    kubernetes_validate.validate(pod, "1.31", strict=True)
    (container,) = pod["spec"]["containers"]
    assert container["name"] == "tensorflow"
    assert container["command"] == ["python", "-m", "kubeflow.entrypoint", "--backend", "kfp"]
    assert container["resources"]["limits"] == {"cpu": "4", "memory": "8G", "nvidia.com/gpu": "1"}
    assert container["volumeMounts"] == [{"name": "state", "mountPath": "/mnt/state"}]
    assert "{{$}}" not in container["args"]


def test_artifacts_that_only_a_pod_of_the_pipeline_can_see_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="no local copies.*Received: examples=minio://b/examples"):
        tfjob.manifest(overrides.load("quick", SETTINGS), text, "minio://b/examples", "gs://b/graph")


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
    transform = rehearsals["first"].outcomes["Transform"].artifacts
    cluster = rehearsed_config.cluster.model_copy(update={"root": str(tmp_path / "state"), "image": "i:1"})
    training = rehearsed_config.training.model_copy(update={"steps": 20, "eval_every": 10})
    config = rehearsed_config.model_copy(update={"cluster": cluster, "training": training})
    job = tfjob.manifest(
        config,
        compile_pipeline(config, "kfp", rehearse=True),
        transform["transformed_examples"]["uri"],
        transform["transform_graph"]["uri"],
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
