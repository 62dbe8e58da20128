"""Changes to a specification by value, and what is refused."""

import json
from typing import Any

import pytest

from components.errors import UserError
from kubeflow.compile import spec


def small(**changes: Any) -> dict[str, Any]:
    """A specification of one task in the shape of TFX's."""
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


def test_nothing_is_cached_and_no_driver_is_left_for_the_cache() -> None:
    changed = small()
    spec.never_cache(changed)
    assert "cachingOptions" not in spec.tasks(changed)["Gen"]
    assert "lifecycle" not in spec.container(changed, "Gen")


def test_another_executor_takes_the_place_of_the_first() -> None:
    changed = small()
    spec.use_executor(changed, "Gen", "kubeflow.task.staging.Executor")
    assert spec.container(changed, "Gen")["args"][:2] == ["--executor_class_path", "kubeflow.task.staging.Executor"]


def test_a_parameter_of_the_run_reaches_the_task_and_the_arguments_know_its_type() -> None:
    changed = small()
    spec.add_run_parameter(changed, "corpus", "shakespeare", "text")
    spec.give_run_parameter(changed, "Gen", "input_base", "corpus")
    spec.give_constant(changed, "Gen", "staging", "{}")
    assert changed["root"]["inputDefinitions"]["parameters"]["corpus"]["defaultValue"] == "shakespeare"
    assert spec.tasks(changed)["Gen"]["inputs"]["parameters"] == {
        "input_base": {"componentInputParameter": "corpus"},
        "staging": {"runtimeValue": {"constant": "{}"}},
    }
    told = json.loads(spec.container(changed, "Gen")["args"][3])
    assert told == changed["components"]["Gen"]["inputDefinitions"]
    assert told["parameters"]["input_base"] == {"parameterType": "STRING"}


def test_a_good_specification_passes() -> None:
    spec.check(small())


def test_a_resolver_is_refused() -> None:
    bad = small(deploymentSpec={"executors": {"Gen_executor": {"resolver": {}}}})
    with pytest.raises(UserError, match="Gen is a Resolver.*last_blessed"):
        spec.check(bad)


def test_a_condition_is_refused() -> None:
    bad = small()
    spec.tasks(bad)["Gen"]["triggerPolicy"] = {"condition": "inputs.artifacts['x']"}
    with pytest.raises(UserError, match="Gen stands under a condition"):
        spec.check(bad)


def test_an_importer_is_refused() -> None:
    with pytest.raises(UserError, match=r"Gen has no container \(importer\)"):
        spec.check(small(deploymentSpec={"executors": {"Gen_executor": {"importer": {}}}}))


@pytest.mark.parametrize("name", ["Trainer.final", "my_gen", "-x"])
def test_illegal_ids_are_refused(name: str) -> None:
    bad = small()
    bad["root"]["dag"]["tasks"] = {name: {"componentRef": {"name": "Gen"}}}
    with pytest.raises(UserError, match="letters, digits and '-'"):
        spec.check(bad)


def test_another_schema_version_and_an_illegal_pipeline_name_are_refused_together() -> None:
    with pytest.raises(UserError, match=r"(?s)2\.0\.0 and must be 2\.1\.0.*'char_rnn'"):
        spec.check(small(schemaVersion="2.0.0", pipelineInfo={"name": "char_rnn"}))
