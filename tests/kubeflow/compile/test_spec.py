"""Changes to a specification, and specifications that are rejected."""

import json
from typing import Any

import pytest

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
