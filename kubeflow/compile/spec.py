"""Reading, changing and checking the pipeline specification that TFX compiles, as a plain dict.

TFX's compiler leaves gaps: it drops the resources of file-based ExampleGens, gives no parameter a default value, lets a
schedule cache the ingest forever, and compiles some features to keys that no backend accepts.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from components.errors import UserError

Spec = dict[str, Any]
_INPUTS_SPEC = "--json_serialized_inputs_spec_args"
_EXECUTOR = "--executor_class_path"
FINAL_STATUS = "taskFinalStatus"  # the state of all other tasks together, when the exit task starts
# Constants that the backend replaces.
PLACEHOLDERS = RUN_NAME, RUN_ID = "{{$.pipeline_job_name}}", "{{$.pipeline_job_uuid}}"
_BODY = "pipeline"  # with an exit task: the task that contains all others
_AFTER_FAILURES = "ALL_UPSTREAM_TASKS_COMPLETED"
_LEGAL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")


def load(text: str) -> Spec:
    """Parse a compiled file; the specification is its first YAML document."""
    return next(iter(yaml.safe_load_all(text)))


def tasks(spec: Spec) -> dict[str, Any]:
    """Return the tasks of the pipeline by name, including the exit task."""
    outer: dict[str, Any] = spec["root"]["dag"]["tasks"]
    last = exit_task(spec)
    return {**spec["components"][_BODY]["dag"]["tasks"], last: outer[last]} if last else outer


def exit_task(spec: Spec) -> str | None:
    """Return the name of the task that also runs after a failure, if there is one."""
    for name, task in spec["root"]["dag"]["tasks"].items():
        if task.get("triggerPolicy", {}).get("strategy") == _AFTER_FAILURES:
            return str(name)
    return None


def component(spec: Spec, task: str) -> dict[str, Any]:
    """Return the component of a task, to read or change."""
    return spec["components"][tasks(spec)[task]["componentRef"]["name"]]


def container(spec: Spec, task: str) -> dict[str, Any]:
    """Return the container of a task, to read or change."""
    return spec["deploymentSpec"]["executors"][component(spec, task)["executorLabel"]]["container"]


def run_parameters(spec: Spec) -> dict[str, Any]:
    """Return the default values of the run's parameters by name."""
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    return {name: parameter["defaultValue"] for name, parameter in declared.items()}


def task_parameters(spec: Spec, task: str, run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a task's parameters by name.

    Args:
      run: the parameters of the run; for an exit task also `FINAL_STATUS`, and the placeholders of its constants.
    """

    def value(source: Mapping[str, Any]) -> Any:
        if FINAL_STATUS in source:
            return run[FINAL_STATUS]
        if "componentInputParameter" in source:
            return run[source["componentInputParameter"]]
        constant = source["runtimeValue"]["constant"]
        return run[constant] if constant in PLACEHOLDERS else constant

    return {name: value(source) for name, source in tasks(spec)[task].get("inputs", {}).get("parameters", {}).items()}


def never_cache(spec: Spec) -> None:
    """Let the backend run every task of every run.

    Ingest must read the corpus each time, and everything else depends on its content. Expensive results are reused by
    content digest instead: the Trainer's exports, see `trainer.run`.
    """
    for name, task in tasks(spec).items():
        task.pop("cachingOptions", None)
        # ExampleGen's driver only serves the cache. Vertex would run it on a corpus that need not be a directory.
        container(spec, name).pop("lifecycle", None)


def use_executor(spec: Spec, task: str, path: str) -> None:
    """Run a task with another executor class, given by its dotted path."""
    args = container(spec, task)["args"]
    args[args.index(_EXECUTOR) + 1] = path


def add_run_parameter(spec: Spec, name: str, default: str, description: str, receivers: Mapping[str, str]) -> None:
    """Declare a text parameter that a run or a schedule may set, and pass it to tasks.

    Args:
      receivers: the name of the task's parameter for each task. Tasks that the pipeline does not have are skipped.
    """
    parameters = spec["root"].setdefault("inputDefinitions", {}).setdefault("parameters", {})
    parameters[name] = {
        "parameterType": "STRING",
        "defaultValue": default,
        "isOptional": True,
        "description": description,
    }
    for task in receivers.keys() & tasks(spec).keys():
        _give(spec, task, receivers[task], {"componentInputParameter": name})


def give_constant(spec: Spec, task: str, parameter: str, value: str) -> None:
    """Add a text parameter to a task."""
    _give(spec, task, parameter, {"runtimeValue": {"constant": value}})


def _give(spec: Spec, task: str, parameter: str, source: dict[str, Any]) -> None:
    definitions = component(spec, task).setdefault("inputDefinitions", {})
    definitions.setdefault("parameters", {})[parameter] = {"parameterType": "STRING"}
    tasks(spec)[task].setdefault("inputs", {}).setdefault("parameters", {})[parameter] = source
    args = container(spec, task)["args"]
    args[args.index(_INPUTS_SPEC) + 1] = json.dumps(definitions, indent=2, sort_keys=True)


def add_exit_task(spec: Spec, name: str, container: dict[str, Any], parameters: Mapping[str, str]) -> None:
    """Add a task that runs after all others, whatever became of them; their state is its parameter `status`.

    This is what KFP compiles an `ExitHandler` to: the other tasks move into a pipeline inside of this one.

    Args:
      parameters: further text parameters of the task; the backend replaces placeholders such as `RUN_NAME`.
    """
    run = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    types = {parameter: {"parameterType": declared["parameterType"]} for parameter, declared in run.items()}
    spec["components"][_BODY] = {"dag": spec["root"]["dag"], "inputDefinitions": {"parameters": types}}
    body = {
        "componentRef": {"name": _BODY},
        "taskInfo": {"name": _BODY},
        "inputs": {"parameters": {parameter: {"componentInputParameter": parameter} for parameter in run}},
    }
    status = {"status": {"parameterType": "TASK_FINAL_STATUS", "isOptional": True}}
    types = status | {parameter: {"parameterType": "STRING"} for parameter in parameters}
    executor = f"{name}_executor"
    spec["components"][name] = {"executorLabel": executor, "inputDefinitions": {"parameters": types}}
    spec["deploymentSpec"]["executors"][executor] = {"container": container}
    constants = {parameter: {"runtimeValue": {"constant": value}} for parameter, value in parameters.items()}
    last = {
        "componentRef": {"name": name},
        "taskInfo": {"name": name},
        "dependentTasks": [_BODY],
        "triggerPolicy": {"strategy": _AFTER_FAILURES},
        "inputs": {"parameters": constants | {"status": {FINAL_STATUS: {"producerTask": _BODY}}}},
    }
    spec["root"]["dag"] = {"tasks": {_BODY: body, name: last}}


def check(spec: Spec) -> None:
    """Reject what a backend would reject or run wrongly.

    Raises:
      UserError: with every reason.
    """
    if reasons := list(_faults(spec)):
        raise UserError(
            "The pipeline cannot run on Kubeflow Pipelines as it is. "
            + " ".join(reasons)
            + " Change pipeline/create.py, or use the component in the local runner only. "
            + f"Received: pipeline {spec['pipelineInfo']['name']}"
        )


def _faults(spec: Spec) -> Iterator[str]:
    if spec.get("schemaVersion") != "2.1.0":
        yield f"Its schema version is {spec.get('schemaVersion')} and must be 2.1.0."
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,127}", spec["pipelineInfo"]["name"]):
        yield f"The pipeline's name {spec['pipelineInfo']['name']!r} has other characters than a-z, 0-9 and '-'."
    for name, task in sorted(tasks(spec).items()):
        if not _LEGAL_ID.fullmatch(name):
            yield f"The id {name!r} has other characters than letters, digits and '-': use with_id()."
        if task.get("triggerPolicy", {}).get("condition"):
            yield f"{name} has a condition (Cond), which TFX compiles to a key that does not exist."
        executor = spec["deploymentSpec"]["executors"].get(component(spec, name).get("executorLabel", ""), {})
        if "resolver" in executor:
            yield f"{name} is a Resolver, which Kubeflow Pipelines does not run: use components.evaluate.last_blessed."
        elif "container" not in executor:
            yield f"{name} has no container ({', '.join(executor) or 'no executor'})."
