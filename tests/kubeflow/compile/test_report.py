"""The task that is added to the specification; test_compiler.py validates the complete file."""

from typing import Any

from kubeflow.compile import report
from pipeline.config.run import Config


def spec() -> dict[str, Any]:
    """A specification with the tasks that the report reads, and their outputs."""
    made: dict[str, Any] = {"components": {}, "root": {"dag": {"tasks": {}}}, "deploymentSpec": {"executors": {}}}
    for task, output in report._INPUTS.values():
        made["root"]["dag"]["tasks"][task] = {"componentRef": {"name": task}}
        made["deploymentSpec"]["executors"][task] = {"container": {"image": f"image of {task}"}}
        component = made["components"].setdefault(task, {"executorLabel": task})
        artifacts = component.setdefault("outputDefinitions", {"artifacts": {}})["artifacts"]
        artifacts[output] = {"artifactType": {"instanceSchema": f"{task} {output}"}}
    return made


def test_report_reads_typed_outputs_and_has_outputs_that_the_user_interfaces_show() -> None:
    made = spec()
    report.add(made, Config(model_name="poems"))
    component, task = made["components"]["Report"], made["root"]["dag"]["tasks"]["Report"]
    outputs = component["outputDefinitions"]["artifacts"]
    assert {name: output["artifactType"]["schemaTitle"] for name, output in outputs.items()} == {
        "metrics": "system.Metrics",
        "report": "system.HTML",
    }
    types = component["inputDefinitions"]["artifacts"]
    assert types["infra_blessing"] == {"artifactType": {"instanceSchema": "InfraCheck blessing"}}
    source = {"producerTask": "InfraCheck", "outputArtifactKey": "blessing"}
    assert task["inputs"]["artifacts"]["infra_blessing"] == {"taskOutputArtifact": source}
    assert task["inputs"]["parameters"] == {
        "corpus": {"componentInputParameter": "corpus"},
        "model": {"runtimeValue": {"constant": "poems"}},
    }
    assert task["inputs"]["artifacts"].keys() == types.keys()
    assert "Pusher" in task["dependentTasks"]
    container = made["deploymentSpec"]["executors"]["Report_executor"]["container"]
    assert container == {
        "image": "image of Pusher",
        "command": ["python", "-m", "kubeflow.report"],
        "args": ["{{$}}"],
    }
