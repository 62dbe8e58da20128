"""The task Report, added to what TFX compiles: TFX has no output of a type that the user interfaces show."""

from kubeflow.compile import spec as specification
from pipeline.config.run import Config

NAME = "Report"
# Names of the inputs in `pipeline.page.contents.read`; for each, the task and its output.
_INPUTS = {
    "statistics": ("StatisticsGen", "statistics"),
    "anomalies": ("ExampleValidator", "anomalies"),
    "model": ("Trainer", "model"),
    "model_run": ("Trainer", "model_run"),
    "baseline": ("LastBlessed", "baseline"),
    "evaluation": ("Evaluator", "evaluation"),
    "blessing": ("Evaluator", "blessing"),
    "drift": ("DriftCheck", "anomalies"),
    "infra_blessing": ("InfraCheck", "blessing"),
    "pushed_model": ("Pusher", "pushed_model"),
}
_OUTPUTS = {"metrics": "system.Metrics", "report": "system.HTML"}


def add(spec: specification.Spec, config: Config) -> None:
    """Add the task. It starts after the Pusher; a run whose report fails has pushed its model all the same."""
    types = {
        name: specification.component(spec, task)["outputDefinitions"]["artifacts"][output]["artifactType"]
        for name, (task, output) in _INPUTS.items()
    }
    image = specification.container(spec, "Pusher")["image"]
    spec["components"][NAME] = {
        "executorLabel": f"{NAME}_executor",
        "inputDefinitions": {
            "artifacts": {name: {"artifactType": dict(kind)} for name, kind in types.items()},
            "parameters": {name: {"parameterType": "STRING"} for name in ("corpus", "model")},
        },
        "outputDefinitions": {
            "artifacts": {
                name: {"artifactType": {"schemaTitle": kind, "schemaVersion": "0.0.1"}}
                for name, kind in _OUTPUTS.items()
            }
        },
    }
    specification.tasks(spec)[NAME] = {
        "componentRef": {"name": NAME},
        "taskInfo": {"name": NAME},
        "dependentTasks": sorted({task for task, _ in _INPUTS.values()}),
        "inputs": {
            "artifacts": {
                name: {"taskOutputArtifact": {"producerTask": task, "outputArtifactKey": output}}
                for name, (task, output) in _INPUTS.items()
            },
            "parameters": {
                "corpus": {"componentInputParameter": "corpus"},
                "model": {"runtimeValue": {"constant": config.model_name}},
            },
        },
    }
    spec["deploymentSpec"]["executors"][f"{NAME}_executor"] = {
        "container": {"image": image, "command": ["python", "-m", "kubeflow.report"], "args": ["{{$}}"]}
    }
