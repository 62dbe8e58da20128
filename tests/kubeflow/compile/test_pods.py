"""Settings of pods in the specification and in the platform document, whose fields `test_compiler` checks."""

import doctest
from typing import Any

import pytest

from components.errors import UserError
from kubeflow.compile import pods
from pipeline.config import overrides
from pipeline.config.run import Config

TASKS = ("CorpusExampleGen", "Trainer", "Report", "FailureReport")
SECRET = '{name="CORPUS_AUTHORIZATION", secret="corpus", key="header"}'
TOLERATION = {"operator": "Exists", "value": "", "effect": ""}


def specification() -> dict[str, Any]:
    """Return a specification with the tasks `TASKS`, the last two of which do not run the entrypoint."""
    others = {"Report": "kubeflow.report", "FailureReport": "kubeflow.task.failure_report"}
    modules = dict.fromkeys(TASKS, "kubeflow.entrypoint") | others
    executors = {
        f"{task}_executor": {"container": {"command": ["python", "-m", module], "args": ["--x", "{{$}}"]}}
        for task, module in modules.items()
    }
    return {
        "components": {task: {"executorLabel": f"{task}_executor"} for task in TASKS},
        "deploymentSpec": {"executors": executors},
        "root": {"dag": {"tasks": {task: {"componentRef": {"name": task}} for task in TASKS}}},
    }


def configuration(*settings: str, preset: str = "quick") -> Config:
    return overrides.load(preset, settings)


def configured(*settings: str, backend: str = "kfp", preset: str = "quick") -> dict[str, Any]:
    """Return the tasks with their containers, by name."""
    spec = specification()
    pods.configure(spec, configuration(*settings, preset=preset), backend)
    executors = spec["deploymentSpec"]["executors"]
    tasks = spec["root"]["dag"]["tasks"]
    return {task: tasks[task] | executors[f"{task}_executor"]["container"] for task in TASKS}


def platform(*settings: str, preset: str = "quick") -> dict[str, Any]:
    document = pods.platform_document(specification(), configuration(*settings, preset=preset))
    kubernetes: dict[str, Any] = document["platforms"]["kubernetes"]
    return kubernetes


def executor(task: str, *settings: str, preset: str = "quick") -> dict[str, Any]:
    found: dict[str, Any] = platform(*settings, preset=preset)["deploymentSpec"]["executors"].get(
        f"{task}_executor", {}
    )
    return found


def test_docstring_examples_are_true() -> None:
    assert doctest.testmod(pods).failed == 0


def test_every_task_is_retried_with_growing_pauses() -> None:
    for task in configured().values():
        policy = task["retryPolicy"]
        assert (policy["maxRetryCount"], policy["backoffDuration"], policy["backoffFactor"]) == (2, "60s", 2.0)
    changed = configured("cluster.pods.Trainer.retries=5", "cluster.pods.default.retries=0", "cluster.retry_seconds=5")
    assert changed["Trainer"]["retryPolicy"]["maxRetryCount"] == 5
    assert changed["Trainer"]["retryPolicy"]["backoffDuration"] == "5s"
    assert "retryPolicy" not in changed["CorpusExampleGen"]


def test_retries_have_the_time_that_a_long_training_needs() -> None:
    """Argo ends what still runs after `backoffMaxDuration`, which kfp's own client sets to one hour."""
    config = configuration()
    for task in TASKS:
        pod = config.cluster.pods.of(task)
        window = configured()[task]["retryPolicy"]["backoffMaxDuration"]
        assert int(window.removesuffix("s")) > (pod.retries + 1) * (pod.timeout_seconds + 3600)
    assert configured(backend="vertex")["Trainer"]["retryPolicy"]["backoffMaxDuration"] == "3600s", "the longest pause"


def test_requests_and_limits_differ_and_a_limit_is_never_lower() -> None:
    resources = configured("cluster.pods.Trainer.cpu=6", "cluster.pods.Trainer.memory_gb=4")["Trainer"]["resources"]
    assert (resources["cpuRequest"], resources["cpuLimit"]) == (6.0, 6.0)
    assert (resources["memoryRequest"], resources["memoryLimit"]) == (4.0, 8.0)


def test_default_requests_leave_room_on_a_node_of_four_cores_and_eight_gigabytes() -> None:
    """Kubernetes' and Kubeflow Pipelines' own pods on kind request 1.9 cores and 3.8 GB, a model server 2 and 1.1."""
    settings = configuration().cluster.pods
    trainer, other = settings.of("Trainer"), settings.of("Evaluator")
    assert trainer.cpu <= 4 - 1.9 - 1, "with the server at one core"
    assert trainer.memory_gb <= 8.5 - 3.8 - 1.1
    assert 2 * other.cpu <= 4 - 1.9 - 1, "two tasks that run side by side"
    assert 2 * other.memory_gb <= 8.5 - 3.8


def test_time_out_ends_the_task_first_and_then_its_pod() -> None:
    setting = "cluster.pods.Trainer.timeout_seconds=7200"
    tasks = configured(setting)
    assert tasks["Trainer"]["args"] == ["--timeout_seconds", "7200", "--x", "{{$}}"]
    assert tasks["CorpusExampleGen"]["args"][:2] == ["--timeout_seconds", "86400"]
    assert tasks["Report"]["args"][:2] == ["--timeout_seconds", "86400"]
    assert tasks["FailureReport"]["args"] == ["--x", "{{$}}"], "it does not read this option"
    assert executor("Trainer", setting)["activeDeadlineSeconds"] == 7200 + 600
    none = "cluster.pods.Trainer.timeout_seconds=0"
    assert configured(none)["Trainer"]["args"] == ["--x", "{{$}}"]
    assert "activeDeadlineSeconds" not in executor("Trainer", none)


def test_run_has_a_time_out_only_if_it_is_set() -> None:
    assert "pipelineConfig" not in platform()
    assert platform("cluster.run_timeout_seconds=90000")["pipelineConfig"] == {"activeDeadlineSeconds": 90000}


def test_secrets_of_the_registry_are_for_every_pod_and_variables_for_theirs() -> None:
    settings = ['cluster.image_pull_secrets=["registry"]', f"cluster.pods.CorpusExampleGen.secret_variables=[{SECRET}]"]
    assert executor("Trainer", *settings)["imagePullSecret"] == [{"secretName": "registry"}]
    assert "secretAsEnv" not in executor("Trainer", *settings)
    assert executor("CorpusExampleGen", *settings)["secretAsEnv"] == [
        {"secretName": "corpus", "keyToEnv": [{"secretKey": "header", "envVar": "CORPUS_AUTHORIZATION"}]}
    ]


def test_labels_and_annotations_of_a_pod() -> None:
    settings = ['cluster.pods.default.labels=["team=nlp", "example.org/cost="]']
    assert executor("Trainer", *settings)["podMetadata"] == {"labels": {"team": "nlp", "example.org/cost": ""}}
    settings += ['cluster.pods.Trainer.annotations=["example.org/note=a = b, \\"c\\""]']
    assert executor("Trainer", *settings)["podMetadata"]["annotations"] == {"example.org/note": 'a = b, "c"'}
    assert "annotations" not in executor("CorpusExampleGen", *settings)["podMetadata"]


def test_preset_spot_tolerates_spot_nodes_and_retries_more_often() -> None:
    keys = ["cloud.google.com/gke-spot", "kubernetes.azure.com/scalesetpriority"]
    assert executor("Trainer", preset="spot")["tolerations"] == [{"key": key, **TOLERATION} for key in keys]
    assert configured(preset="spot")["Trainer"]["retryPolicy"]["maxRetryCount"] == 6
    assert overrides.load("best,spot").training == overrides.load("best").training
    assert overrides.load("best,spot").cluster == overrides.load("spot").cluster


@pytest.mark.parametrize(
    ("setting", "received"),
    [
        ('cluster.pods.Trainer.node_selector=["pool=gpu"]', "cluster.pods.Trainer.node_selector"),
        ("cluster.pods.default.tolerations=[{}]", "cluster.pods.default.tolerations"),
        ('cluster.pods.Pusher.labels=["a=b"]', "cluster.pods.Pusher.labels"),
        ('cluster.pods.Pusher.annotations=["a=b"]', "cluster.pods.Pusher.annotations"),
        (f"cluster.pods.Pusher.secret_variables=[{SECRET}]", "cluster.pods.Pusher.secret_variables"),
        ('cluster.image_pull_secrets=["registry"]', r"cluster.image_pull_secrets=\('registry',\)"),
        ("cluster.run_timeout_seconds=9", "cluster.run_timeout_seconds=9"),
    ],
)
def test_what_vertex_has_no_field_for_is_refused(setting: str, received: str) -> None:
    with pytest.raises(UserError, match=f"Vertex AI.*--backend kfp. Received: {received}$"):
        pods.check_on_vertex(configuration(setting))


def test_retries_requests_and_time_outs_of_tasks_are_for_vertex_too() -> None:
    pods.check_on_vertex(configuration("cluster.pods.Trainer.retries=1", "cluster.pods.Trainer.timeout_seconds=60"))
    task = configured("cluster.pods.Trainer.timeout_seconds=60", backend="vertex")["Trainer"]
    assert task["args"][:2] == ["--timeout_seconds", "60"]
