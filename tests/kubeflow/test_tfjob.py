"""The manifest; test_rehearsal runs its very command with two workers. The training operator is not touched."""

import kubernetes_validate
import pytest

from components.errors import UserError
from kubeflow import tfjob
from kubeflow.compiler import compile_pipeline
from pipeline import overrides


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
