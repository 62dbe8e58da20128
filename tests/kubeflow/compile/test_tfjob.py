"""The manifest; `test_rehearsal_vertex` runs its command with two workers. The training operator is not tested."""

import re

import kubernetes_validate
import pytest

from components.errors import UserError
from kubeflow.compile import tfjob
from kubeflow.compile.compiler import compile_pipeline
from pipeline.config import overrides

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def text() -> str:
    return compile_pipeline(overrides.load("quick", SETTINGS), "kfp")


SETTINGS = ["cluster.image=i:1", "corpus.source=sample", "cluster.workers=3", "cluster.pods.Trainer.gpus=1"]
SETTINGS += ['cluster.pods.Trainer.node_selector=["pool=gpu"]', 'cluster.pods.Trainer.tolerations=[{key="gpu"}]']
SETTINGS += ['cluster.image_pull_secrets=["registry"]', "cluster.pods.Trainer.timeout_seconds=3600"]
SETTINGS += ['cluster.pods.Trainer.labels=["team=nlp"]', 'cluster.pods.Trainer.annotations=["note=any text"]']
SETTINGS += ['cluster.pods.Trainer.secret_variables=[{name="TOKEN", secret="corpus", key="token"}]']


def test_every_worker_runs_the_trainers_command_in_a_valid_pod(text: str) -> None:
    config = overrides.load("quick", SETTINGS)
    job = tfjob.manifest(config, text, "gs://b/examples", "gs://b/graph")
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "TFJob")
    worker = job["spec"]["tfReplicaSpecs"]["Worker"]
    assert worker["replicas"] == 3
    # `test_published_schemas` checks the fields of the operator; its pods are those of Kubernetes.
    metadata = {"name": "x", **worker["template"]["metadata"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": dict(worker["template"]["spec"])}
    kubernetes_validate.validate(pod, "1.31", strict=True)
    (container,) = pod["spec"]["containers"]
    assert container["name"] == "tensorflow"
    assert container["command"] == ["python", "-m", "kubeflow.entrypoint", "--backend", "kfp"]
    assert container["resources"]["limits"] == {"cpu": "4000m", "memory": "8000M", "nvidia.com/gpu": "1"}
    assert container["resources"]["requests"] == {"cpu": "1000m", "memory": "3000M", "nvidia.com/gpu": "1"}
    assert container["env"] == [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "corpus", "key": "token"}}}]
    assert metadata == {"name": "x", "labels": {"team": "nlp"}, "annotations": {"note": "any text"}}
    assert pod["spec"]["tolerations"] == [{"key": "gpu", "operator": "Exists"}], "without it, Kubernetes means Equal"
    assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert container["volumeMounts"] == [{"name": "state", "mountPath": "/mnt/state"}]
    assert "{{$}}" not in container["args"]


def test_job_ends_at_the_time_out_of_the_trainer(text: str) -> None:
    job = tfjob.manifest(overrides.load("quick", SETTINGS), text, "gs://b/examples", "gs://b/graph")
    assert job["spec"]["runPolicy"]["activeDeadlineSeconds"] == 3600
    unlimited = overrides.load("quick", [*SETTINGS, "cluster.pods.Trainer.timeout_seconds=0"])
    assert "activeDeadlineSeconds" not in tfjob.manifest(unlimited, text, "gs://b/e", "gs://b/g")["spec"]["runPolicy"]


def test_preempted_workers_start_again_as_often_as_needed(text: str) -> None:
    job = tfjob.manifest(overrides.load("quick", SETTINGS), text, "gs://b/examples", "gs://b/graph")
    # The operator starts a pod again whose exit code is 128 or more: one that a signal ended, or `START_AGAIN`.
    assert job["spec"]["tfReplicaSpecs"]["Worker"]["restartPolicy"] == "ExitCode"
    # It compares this limit with the sum of all pods' restarts, and with its own retries.
    assert "backoffLimit" not in job["spec"]["runPolicy"]


@pytest.mark.parametrize(
    "uri", ["minio://b/examples", "/elsewhere/examples", "/mnt/state-of/x", "/mnt/state/../x", "examples"]
)
def test_artifact_that_workers_cannot_read_is_rejected(text: str, uri: str) -> None:
    with pytest.raises(UserError, match=f"no local copies.*below /mnt/state. Received: examples={uri}"):
        tfjob.manifest(overrides.load("quick", SETTINGS), text, uri, "gs://b/graph")


def test_jobs_with_different_artifacts_write_to_different_directories(text: str) -> None:
    config = overrides.load("quick", SETTINGS)
    jobs = [tfjob.manifest(config, text, f"/mnt/state/{run}/examples", "gs://b/graph") for run in "ab"]
    names = [job["metadata"]["name"] for job in jobs]
    assert names[0] != names[1]
    for job, name in zip(jobs, names):
        (container,) = job["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"]
        assert f'"uri": "/mnt/state/tfjob/{name}/model"' in " ".join(container["args"])


def test_names_of_pods_are_short_enough(text: str) -> None:
    long = text.replace("name: char-rnn\n", f"name: {'long-' * 13}model\n")
    assert long != text
    name = tfjob.manifest(overrides.load("quick", SETTINGS), long, "gs://b/e", "gs://b/g")["metadata"]["name"]
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", f"{name}-worker-99")
    assert len(f"{name}-worker-99") <= 63


def test_quantities_have_no_fractions_and_yaml_has_no_references(text: str) -> None:
    odd = ["cluster.pods.Trainer.cpu=0.0015", "cluster.pods.Trainer.memory_gb=12345.678901"]
    printed = tfjob.render(overrides.load("quick", [*SETTINGS, *odd]), text, "gs://b/e", "gs://b/g")
    assert "cpu: 2m" in printed
    assert "memory: 12345679M" in printed
    assert "&id" not in printed, "an anchor of a reference"
