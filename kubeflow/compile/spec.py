"""Changes to the pipeline specification that TFX compiles, and what it must fulfil; a specification is a plain dict.

TFX's compiler leaves gaps: it drops the resources of file-based ExampleGens, gives no parameter a default value, lets a
schedule cache the ingest for ever and compiles some things to what no back end accepts.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from components.errors import UserError

Spec = dict[str, Any]
_INPUTS_SPEC = "--json_serialized_inputs_spec_args"
_EXECUTOR = "--executor_class_path"
_LEGAL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")


def tasks(spec: Spec) -> dict[str, Any]:
    """The tasks of the pipeline by name."""
    return spec["root"]["dag"]["tasks"]


def container(spec: Spec, task: str) -> dict[str, Any]:
    """The container of a task, to read or change."""
    component = spec["components"][tasks(spec)[task]["componentRef"]["name"]]
    return spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]


def never_cache(spec: Spec) -> None:
    """Let the back end run every task of every run.

    Ingest has to look at the corpus each time, and all else depends on what it finds. What is expensive is used again
    by content instead: the Trainer's exports, see `trainer.run`.
    """
    for name, task in tasks(spec).items():
        task.pop("cachingOptions", None)
        # ExampleGen's driver only serves the cache. Vertex would run it on a corpus that need not be a directory.
        container(spec, name).pop("lifecycle", None)


def use_executor(spec: Spec, task: str, path: str) -> None:
    """Run a task with another executor class, given by its dotted path."""
    args = container(spec, task)["args"]
    args[args.index(_EXECUTOR) + 1] = path


def add_run_parameter(spec: Spec, name: str, default: str, description: str) -> None:
    """Declare a text parameter of the whole pipeline, which a run or a schedule may set."""
    parameters = spec["root"].setdefault("inputDefinitions", {}).setdefault("parameters", {})
    parameters[name] = {
        "parameterType": "STRING",
        "defaultValue": default,
        "isOptional": True,
        "description": description,
    }


def give_run_parameter(spec: Spec, task: str, parameter: str, name: str) -> None:
    """Give a task a parameter of the pipeline, in place of what was compiled in."""
    _give(spec, task, parameter, {"componentInputParameter": name})


def give_constant(spec: Spec, task: str, parameter: str, value: str) -> None:
    """Give a task one more text parameter."""
    _give(spec, task, parameter, {"runtimeValue": {"constant": value}})


def _give(spec: Spec, task: str, parameter: str, source: dict[str, Any]) -> None:
    component = spec["components"][tasks(spec)[task]["componentRef"]["name"]]
    definitions = component.setdefault("inputDefinitions", {})
    definitions.setdefault("parameters", {})[parameter] = {"parameterType": "STRING"}
    tasks(spec)[task].setdefault("inputs", {}).setdefault("parameters", {})[parameter] = source
    args = container(spec, task)["args"]
    args[args.index(_INPUTS_SPEC) + 1] = json.dumps(definitions, indent=2, sort_keys=True)


def check(spec: Spec) -> None:
    """Refuse what a back end would refuse, or worse, would run wrongly.

    Raises:
      UserError: with every reason.
    """
    if reasons := list(_faults(spec)):
        raise UserError(
            "The pipeline cannot run on Kubeflow Pipelines as it is. "
            + " ".join(reasons)
            + " Change pipeline/create.py, or leave the component to the local runner. "
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
            yield f"{name} stands under a condition (Cond), which TFX compiles to a key that does not exist."
        executor = spec["deploymentSpec"]["executors"].get(
            spec["components"][task["componentRef"]["name"]].get("executorLabel", ""), {}
        )
        if "resolver" in executor:
            yield f"{name} is a Resolver, which Kubeflow Pipelines does not run: use components.evaluate.last_blessed."
        elif "container" not in executor:
            yield f"{name} has no container ({', '.join(executor) or 'no executor'})."
