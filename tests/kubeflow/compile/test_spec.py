"""Changes to a specification, and specifications that are rejected."""

import json
from typing import Any

import pytest
from google.protobuf import json_format

from components.errors import UserError
from kubeflow.compile import spec


def small(**changes: Any) -> dict[str, Any]:
    """Return a specification with one task, in the form of TFX's compiler."""
    args = ["--executor_class_path", "a.B", "--json_serialized_inputs_spec_args", "{}", "--runner=x"]
    return {
        "schemaVersion": "2.1.0",
        "pipelineInfo": {"name": "char-rnn"},
        "components": {"Gen": {"executorLabel": "Gen_executor", "inputDefinitions": {"parameters": {}}}},
        "deploymentSpec": {
            "executors": {
                "Gen_executor": {"container": {"args": args, "lifecycle": {"preCacheCheck": {"command": ["python"]}}}}
            }
        },
        "root": {"dag": {"tasks": {"Gen": {"componentRef": {"name": "Gen"}, "cachingOptions": {"enableCache": True}}}}},
    } | changes


def test_never_cache_removes_the_caching_options_and_the_driver() -> None:
    changed = small()
    spec.never_cache(changed)
    assert "cachingOptions" not in spec.tasks(changed)["Gen"]
    assert "lifecycle" not in spec.container(changed, "Gen")


def test_executor_is_replaced() -> None:
    changed = small()
    spec.use_executor(changed, "Gen", "kubeflow.task.staging.Executor")
    assert spec.container(changed, "Gen")["args"][:2] == ["--executor_class_path", "kubeflow.task.staging.Executor"]


def test_run_parameter_is_passed_to_the_task_with_its_type() -> None:
    changed = small()
    spec.add_run_parameter(changed, "corpus", "shakespeare", "text", {"Gen": "input_base", "Missing": "x"})
    spec.give_constant(changed, "Gen", "staging", "{}")
    assert changed["root"]["inputDefinitions"]["parameters"]["corpus"]["defaultValue"] == "shakespeare"
    assert spec.tasks(changed)["Gen"]["inputs"]["parameters"] == {
        "input_base": {"componentInputParameter": "corpus"},
        "staging": {"runtimeValue": {"constant": "{}"}},
    }
    declared = json.loads(spec.container(changed, "Gen")["args"][3])
    assert declared == changed["components"]["Gen"]["inputDefinitions"]
    assert declared["parameters"]["input_base"] == {"parameterType": "STRING"}


def test_values_of_a_tasks_parameters_are_those_of_the_run() -> None:
    changed = small()
    spec.add_run_parameter(changed, "corpus", "shakespeare", "text", {"Gen": "input_base", "Missing": "x"})
    spec.give_constant(changed, "Gen", "staging", "{}")
    assert spec.run_parameters(changed) == {"corpus": "shakespeare"}
    assert spec.task_parameters(changed, "Gen", {"corpus": "sample"}) == {"input_base": "sample", "staging": "{}"}


def with_exit_task() -> dict[str, Any]:
    changed = small()
    spec.add_run_parameter(changed, "corpus", "shakespeare", "text", {"Gen": "input_base"})
    spec.add_exit_task(changed, "Report", {"args": []}, {"run": "{{$.pipeline_job_name}}"})
    return changed


def test_other_tasks_move_into_the_pipeline_that_the_exit_task_follows() -> None:
    changed = with_exit_task()
    assert spec.exit_task(small()) is None
    assert spec.exit_task(changed) == "Report"
    assert spec.tasks(changed).keys() == {"Gen", "Report"}
    assert spec.container(changed, "Report") == {"args": []}
    assert spec.tasks(changed)["Gen"] == changed["components"]["pipeline"]["dag"]["tasks"]["Gen"]
    assert spec.run_parameters(changed) == {"corpus": "shakespeare"}
    assert spec.task_parameters(changed, "Gen", {"corpus": "sample"}) == {"input_base": "sample"}
    run = {"corpus": "sample", spec.RUN_NAME: "nightly", spec.FINAL_STATUS: {"state": "FAILED"}}
    assert spec.task_parameters(changed, "Report", run) == {"run": "nightly", "status": {"state": "FAILED"}}
    spec.check(changed)


@pytest.mark.integration
def test_exit_task_is_that_of_kfp() -> None:
    """With the names of ours, KFP's own compiler makes the same of an `ExitHandler`."""
    from kfp import dsl

    @dsl.container_component
    def gen(input_base: str) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image="i", command=["c"], args=[input_base])

    @dsl.container_component
    def report(status: dsl.PipelineTaskFinalStatus, run: str) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image="i", command=["c"], args=[run])

    @dsl.pipeline(name="char-rnn")
    def pipeline(corpus: str = "shakespeare") -> None:
        with dsl.ExitHandler(exit_task=report(run=dsl.PIPELINE_JOB_NAME_PLACEHOLDER), name="pipeline"):
            gen(input_base=corpus)

    ours, theirs = with_exit_task(), json_format.MessageToDict(pipeline.pipeline_spec)
    for task in theirs["root"]["dag"]["tasks"].values():
        task.pop("cachingOptions", None)  # ours are never cached
    text = json.dumps(theirs["root"]["dag"])
    for name, our_name in {
        "comp-exit-handler-1": "pipeline",
        "exit-handler-1": "pipeline",
        "comp-report": "Report",
        "report": "Report",
        "pipelinechannel--corpus": "corpus",
    }.items():
        text = text.replace(f'"{name}"', f'"{our_name}"')
    assert json.loads(text) == ours["root"]["dag"]
    assert theirs["components"]["comp-report"]["inputDefinitions"] == ours["components"]["Report"]["inputDefinitions"]


def test_valid_specification_passes() -> None:
    spec.check(small())


def test_resolver_is_rejected() -> None:
    bad = small(deploymentSpec={"executors": {"Gen_executor": {"resolver": {}}}})
    with pytest.raises(UserError, match="Gen is a Resolver.*last_blessed"):
        spec.check(bad)


def test_condition_is_rejected() -> None:
    bad = small()
    spec.tasks(bad)["Gen"]["triggerPolicy"] = {"condition": "inputs.artifacts['x']"}
    with pytest.raises(UserError, match="Gen has a condition"):
        spec.check(bad)


def test_importer_is_rejected() -> None:
    with pytest.raises(UserError, match=r"Gen has no container \(importer\)"):
        spec.check(small(deploymentSpec={"executors": {"Gen_executor": {"importer": {}}}}))


@pytest.mark.parametrize("name", ["Trainer.final", "my_gen", "-x"])
def test_illegal_id_is_rejected(name: str) -> None:
    bad = small()
    bad["root"]["dag"]["tasks"] = {name: {"componentRef": {"name": "Gen"}}}
    with pytest.raises(UserError, match="letters, digits and '-'"):
        spec.check(bad)


def test_schema_version_and_pipeline_name_are_rejected_together() -> None:
    with pytest.raises(UserError, match=r"(?s)2\.0\.0 and must be 2\.1\.0.*'char_rnn'"):
        spec.check(small(schemaVersion="2.0.0", pipelineInfo={"name": "char_rnn"}))
