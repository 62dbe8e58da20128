"""The pipeline compiled by TFX for both backends, validated against KFP's own definitions."""

import copy
import doctest
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format

from kubeflow.compile import compiler, spec
from kubeflow.compile.compiler import compile_bulk, compile_pipeline, pipeline_name
from pipeline.config import overrides
from pipeline.config.pods import Pods
from pipeline.config.run import Config

ROOT = Path(__file__).resolve().parents[3]
IMAGE = "registry.example/char-rnn:1"
GPU = [
    "cluster.pods.Trainer.gpus=2",
    'cluster.pods.Trainer.node_selector=["pool=gpu"]',
    'cluster.pods.Trainer.tolerations=[{key="nvidia.com/gpu", effect="NoSchedule"}]',
    'cluster.pods.Trainer.secret_variables=[{name="TOKEN", secret="corpus", key="token"}]',
    'cluster.pods.Trainer.labels=["team=nlp"]',
    'cluster.pods.Trainer.annotations=["note=any text"]',
    'cluster.image_pull_secrets=["registry"]',
]
VERTEX = ["cluster.root=gs://b/state", "cluster.serving_dir=gs://b/serving", "cluster.pipeline_root=gs://b/runs"]


def compiled(backend: str, *settings: str) -> str:
    config = overrides.load("quick", [f"cluster.image={IMAGE}", "corpus.source=sample", *settings])
    return compile_pipeline(config, backend)


@pytest.fixture(scope="module")
def kfp() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(compiled("kfp", *GPU)))


@pytest.fixture(scope="module")
def vertex() -> list[dict[str, Any]]:
    settings = ("cluster.pods.Trainer.gpus=1", "evaluation.max_copied=0.05")
    return list(yaml.safe_load_all(compiled("vertex", *VERTEX, *settings)))


@pytest.mark.integration
def test_kubeflow_has_two_documents_and_vertex_one(kfp: list[Any], vertex: list[Any]) -> None:
    assert len(kfp) == 2
    assert len(vertex) == 1


@pytest.mark.integration
def test_file_parses_strictly(kfp: list[Any], vertex: list[Any]) -> None:
    from kfp.pipeline_spec import pipeline_spec_pb2

    for document in (kfp[0], vertex[0]):
        parsed = json_format.ParseDict(document, pipeline_spec_pb2.PipelineSpec())
        assert parsed.schema_version == "2.1.0"
        assert parsed.pipeline_info.name == "char-rnn"
        assert len(parsed.root.dag.tasks) == 13
    json_format.ParseDict(kfp[1], pipeline_spec_pb2.PlatformSpec())
    with pytest.raises(json_format.ParseError):
        json_format.ParseDict(kfp[0] | {"unknown": 1}, pipeline_spec_pb2.PipelineSpec())


@pytest.mark.integration
def test_client_of_kfp_reads_the_file(kfp: list[Any], tmp_path: Path) -> None:
    from kfp.client.client import _extract_pipeline_yaml

    file = tmp_path / "pipeline.yaml"
    file.write_text(compiled("kfp", *GPU))
    read = _extract_pipeline_yaml(str(file)).to_dict()
    assert read["pipeline_spec"]["root"] == kfp[0]["root"]


@pytest.mark.integration
def test_platform_document_matches_the_definition_of_kubernetes_settings(kfp: list[Any]) -> None:
    from kfp.kubernetes import kubernetes_executor_config_pb2

    definition = kubernetes_executor_config_pb2.KubernetesExecutorConfig
    for settings in kfp[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        # The definition of kfp-kubernetes 1.0, of Python 3.10, has only the first fields; servers read all since 2.1.
        known = {key: value for key, value in settings.items() if key in definition.DESCRIPTOR.fields_by_camelcase_name}
        assert len(known) == len(settings) or "tolerations" not in definition.DESCRIPTOR.fields_by_name
        json_format.ParseDict(known, definition())


@pytest.mark.integration
def test_tasks_mount_the_volumes_that_they_need(kfp: list[Any]) -> None:
    executors = kfp[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    mounts = {
        name: {mount["constant"]: mount["mountPath"] for mount in settings["pvcMount"]}
        for name, settings in executors.items()
        if "pvcMount" in settings
    }
    state, both = {"char-rnn-state": "/mnt/state"}, {"char-rnn-state": "/mnt/state", "char-rnn-serving": "/models"}
    assert mounts == {
        "CorpusExampleGen_executor": state,
        "DriftCheck_executor": state,
        "Trainer_executor": state,
        "LastBlessed_executor": both,
        "Pusher_executor": both,
    }


@pytest.mark.integration
@pytest.mark.parametrize("settings", [[], ["tuner.enabled=true"]])
def test_tasks_after_validation_wait_for_both_checks(settings: list[str]) -> None:
    tasks = spec.tasks(spec.load(compiled("kfp", *settings)))

    def waits_for(task: str) -> set[str]:
        direct = set(tasks[task].get("dependentTasks", ()))
        return direct.union(*map(waits_for, direct))

    gated = {task for task in tasks if waits_for(task) >= {"AnomalyGate", "DriftCheck"}}
    assert tasks.keys() - gated == {
        "CorpusExampleGen",
        "StatisticsGen",
        "ImportSchemaGen",
        "ExampleValidator",
        "AnomalyGate",
        "DriftCheck",
    }


@pytest.mark.integration
def test_pusher_writes_to_the_volume_that_the_servers_mount(kfp: list[Any]) -> None:
    from serving.manifests import kubernetes

    served = kubernetes.manifests(overrides.load("quick").serving, "char_rnn")
    executors = kfp[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    (claim,) = [mount for mount in executors["Pusher_executor"]["pvcMount"] if mount["mountPath"] == "/models"]
    pod = served["deployment.yaml"]["spec"]["template"]["spec"]
    volumes = [volume for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
    claims = [volume["persistentVolumeClaim"]["claimName"] for volume in volumes]
    assert claims == [claim["constant"]]
    assert "/models" in {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert constant(kfp[0], "Pusher", "serving") == "/models/char_rnn"


@pytest.mark.integration
def test_node_selectors_and_tolerations_are_set_for_the_trainer_only(kfp: list[Any]) -> None:
    executors = kfp[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors["Trainer_executor"]["nodeSelector"] == {"labels": {"pool": "gpu"}}
    tolerations = executors["Trainer_executor"]["tolerations"]
    assert tolerations == [{"key": "nvidia.com/gpu", "operator": "Exists", "value": "", "effect": "NoSchedule"}]
    assert not any("nodeSelector" in of for name, of in executors.items() if name != "Trainer_executor")


@pytest.mark.integration
def test_resources_are_set_for_every_component_including_ingest(kfp: list[Any], vertex: list[Any]) -> None:
    for document, kind, count in ((kfp[0], "nvidia.com/gpu", "2"), (vertex[0], "NVIDIA_TESLA_T4", "1")):
        resources = {task: spec.container(document, task)["resources"] for task in spec.tasks(document)}
        assert resources["CorpusExampleGen"]["memoryLimit"] == 4.0
        assert resources["Trainer"]["accelerator"] == {"type": kind, "count": count}
        assert (resources["Trainer"]["cpuRequest"], resources["Trainer"]["cpuLimit"]) == (1.0, 4.0)
        assert [task for task, wanted in resources.items() if "accelerator" in wanted] == ["Trainer"]


@pytest.mark.integration
def test_pipeline_of_bulk_jobs_has_one_task_with_both_volumes() -> None:
    from kfp.pipeline_spec import pipeline_spec_pb2

    settings = ("cluster.pods.BulkInference.cpu=3", 'beam_args=["--direct_num_workers=2"]')
    config = overrides.load("quick", [f"cluster.image={IMAGE}", *settings])
    document, platform = yaml.safe_load_all(compile_bulk(config, "kfp"))
    parsed = json_format.ParseDict(document, pipeline_spec_pb2.PipelineSpec())
    assert (parsed.pipeline_info.name, list(parsed.root.dag.tasks)) == ("char-rnn-bulk", ["BulkInference"])
    assert spec.run_parameters(document) == {
        "input": "/mnt/state/bulk/prompts.jsonl",
        "output": "/mnt/state/bulk/generated.jsonl",
        "options": "",
    }
    given = spec.task_parameters(document, "BulkInference", {"input": "i", "output": "o", "options": "--score"})
    assert (given.pop("input"), given.pop("output"), given.pop("options")) == ("i", "o", "--score")
    model = ["--model", "char_rnn", "--root", "/mnt/state", "--serving-dir", "/models"]
    assert json.loads(given.pop("model")) == [*model, "--set", 'beam_args=["--direct_num_workers=2"]']
    assert given == {}
    assert spec.container(document, "BulkInference")["resources"]["cpuRequest"] == 3.0
    (executor,) = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values()
    assert [mount["mountPath"] for mount in executor["pvcMount"]] == ["/mnt/state", "/models"]


@pytest.mark.integration
def test_every_component_has_pod_settings(kfp: list[Any]) -> None:
    # Off by default, or in the pipeline of bulk jobs.
    tuned = {"default", "Tuner", "FailureReport", "BulkInference"}
    assert spec.tasks(kfp[0]).keys() | tuned == Pods.model_fields.keys(), (
        "add the component to pipeline.config.cluster.Pods"
    )


@pytest.mark.integration
def test_task_with_a_path_in_a_volume_mounts_it(kfp: list[Any]) -> None:
    """A path without its volume would be a directory of the pod, silently deleted with it."""
    tuned = list(yaml.safe_load_all(compiled("kfp", "tuner.enabled=true")))
    assert "Tuner" in spec.tasks(tuned[0])
    for document, platform in (kfp, tuned):
        executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        for name, task in spec.tasks(document).items():
            values = json.dumps(task.get("inputs", {}).get("parameters", {}))
            mounts = {mount["mountPath"] for mount in executors.get(f"{name}_executor", {}).get("pvcMount", [])}
            for path in ("/mnt/state", "/models"):
                assert f"{path}/" not in values or path in mounts, f"{name} {path}"


@pytest.mark.integration
def test_training_values_of_the_run_are_passed_to_the_tuner() -> None:
    document = spec.load(compiled("kfp", "tuner.enabled=true"))
    given = spec.tasks(document)["Tuner"]["inputs"]["parameters"]["run_training"]
    assert given == {"componentInputParameter": "training"}


@pytest.mark.integration
def test_nothing_is_cached_and_no_task_has_a_driver_resolver_or_condition(kfp: list[Any], vertex: list[Any]) -> None:
    for document in (kfp[0], vertex[0]):
        spec.check(document)
        for name, task in spec.tasks(document).items():
            assert not task.get("cachingOptions", {}).get("enableCache")
            assert "lifecycle" not in spec.container(document, name)


@pytest.mark.integration
def test_tfx_alone_would_cache_the_ingest(monkeypatch: pytest.MonkeyPatch) -> None:
    config = overrides.load("quick", [f"cluster.image={IMAGE}", "corpus.source=sample"])
    raw = compiler._compile_with_tfx(compiler._training(config), config, "kfp")
    assert spec.tasks(raw)["CorpusExampleGen"]["cachingOptions"] == {"enableCache": True}
    assert "lifecycle" in spec.container(raw, "CorpusExampleGen")


@pytest.mark.integration
def test_every_container_runs_our_entrypoint_for_its_backend(kfp: list[Any], vertex: list[Any]) -> None:
    for document, backend in ((kfp[0], "kfp"), (vertex[0], "vertex")):
        for task in spec.tasks(document):
            container = spec.container(document, task)
            assert container["image"] == IMAGE
            ours = ["kubeflow.report"] if task == "Report" else ["kubeflow.entrypoint", "--backend", backend]
            assert container["command"] == ["python", "-m", *ours]
            assert "{{$}}" in container["args"]


@pytest.mark.integration
def test_run_has_the_parameters_corpus_preset_and_four_sections(kfp: list[Any]) -> None:
    parameters = kfp[0]["root"]["inputDefinitions"]["parameters"]
    sections = ("model", "training", "export", "evaluation")
    assert {name: parameter["defaultValue"] for name, parameter in parameters.items()} == {
        "corpus": "sample",
        "preset": "",
        **dict.fromkeys(sections, "{}"),
    }
    for task in ("CorpusExampleGen", "Trainer", "Evaluator"):  # the first one checks them
        given = spec.tasks(kfp[0])[task]["inputs"]["parameters"]
        for name in ("preset", *sections):
            assert given[f"run_{name}"] == {"componentInputParameter": name}
        assert Config.model_validate(json.loads(constant(kfp[0], task, "compiled"))).training.steps == "auto"
    for task, parameter, source in (
        ("CorpusExampleGen", "input_base", "corpus"),
        ("Pusher", "corpus", "corpus"),
    ):
        given = spec.tasks(kfp[0])[task]["inputs"]["parameters"][parameter]
        assert given == {"componentInputParameter": source}
    assert "perplexity" in constant(kfp[0], "Evaluator", "eval_config")


@pytest.mark.integration
def test_evaluator_bounds_copies_if_configured(kfp: list[Any], vertex: list[Any]) -> None:
    assert "copied" not in constant(kfp[0], "Evaluator", "eval_config")
    assert "0.05" in constant(vertex[0], "Evaluator", "eval_config")


@pytest.mark.integration
@pytest.mark.parametrize(
    ("webhook", "variable", "env"),
    [
        (
            "https://hooks.example/T1",
            "FAILURE_WEBHOOK",
            [{"name": "FAILURE_WEBHOOK", "value": "https://hooks.example/T1"}],
        ),
        ("SLACK_URL", "SLACK_URL", None),
    ],
)
def test_failure_report_gets_the_webhook_and_the_state_of_all_other_tasks(
    webhook: str, variable: str, env: Any, kfp: list[Any]
) -> None:
    from kfp.pipeline_spec import pipeline_spec_pb2

    document = copy.deepcopy(kfp[0])
    config = overrides.load("quick", [f"cluster.image={IMAGE}", f"cluster.failure_webhook={webhook}"])
    compiler._report_failure(document, config)
    json_format.ParseDict(document, pipeline_spec_pb2.PipelineSpec())
    spec.check(document)
    container = spec.container(document, "FailureReport")
    assert container["command"] == ["python", "-m", "kubeflow.task.failure_report"]
    assert container["args"] == ["--pipeline", "char-rnn", "--variable", variable, "--invocation", "{{$}}"]
    assert container.get("env") == env
    assert spec.exit_task(document) == "FailureReport"
    assert spec.tasks(document).keys() - spec.tasks(kfp[0]).keys() == {"FailureReport"}
    inputs = spec.tasks(document)["FailureReport"]["inputs"]["parameters"]
    assert inputs["status"] == {"taskFinalStatus": {"producerTask": "pipeline"}}
    # The tasks inside get the parameters of the run.
    passed = document["root"]["dag"]["tasks"]["pipeline"]["inputs"]["parameters"]
    assert passed == {name: {"componentInputParameter": name} for name in spec.run_parameters(kfp[0])}


def constant(document: dict[str, Any], task: str, parameter: str) -> str:
    return str(spec.tasks(document)[task]["inputs"]["parameters"][parameter]["runtimeValue"]["constant"])


@pytest.mark.integration
def test_same_configuration_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    """With another hash seed, working directory and time zone."""
    file = tmp_path / "pipeline.yaml"
    command = [
        sys.executable,
        "-m",
        "kubeflow",
        "compile",
        "--image",
        IMAGE,
        "--corpus",
        "sample",
        "--output",
        str(file),
    ]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT), "TZ": "Asia/Tokyo"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert file.read_text() == compiled("kfp")
    assert str(ROOT) not in file.read_text()


def test_docstring_examples_are_true() -> None:
    assert doctest.testmod(compiler).failed == 0


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("char_rnn", "char-rnn"),
        ("poems", "poems"),
        ("Poems", "poems-"),
        ("char-rnn", "char-rnn-"),
        ("poems_", "poems-"),
    ],
)
def test_models_with_different_names_have_pipelines_with_different_names(model: str, name: str) -> None:
    assert pipeline_name(model).startswith(name)
    assert (pipeline_name(model) == name) == (not name.endswith("-"))
    assert pipeline_name(model)[-1].isalnum(), "required by Kubernetes"


@pytest.mark.integration
def test_beam_runner_is_compiled_in_if_its_workers_can_read_the_artifacts() -> None:
    runner = 'beam_args=["--runner=DataflowRunner", "--project=p"]'
    document = spec.load(compiled("kfp", *VERTEX, runner))
    assert "/mnt/state" not in json.dumps(document), "Beam workers cannot read it"
    assert spec.container(document, "Transform")["args"][-2:] == ["--runner=DataflowRunner", "--project=p"]
