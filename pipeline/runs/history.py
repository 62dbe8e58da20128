"""All runs of a root with their executions and artifacts, as ML Metadata recorded them."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto.metadata_store_pb2 import Artifact as ArtifactProto
from ml_metadata.proto.metadata_store_pb2 import Event
from ml_metadata.proto.metadata_store_pb2 import Execution as ExecutionProto

from pipeline.runs import record

LAST = "Pusher"  # the node that ends a run
_OUTPUTS = (Event.OUTPUT, Event.DECLARED_OUTPUT)
_BATCH = 1000  # executions in one query


@dataclass(frozen=True)
class Artifact:
    """An artifact of TFX.

    Attributes:
      id: its number.
      uri: path of its directory, without symbolic links.
      state: name of its state, such as LIVE or DELETED.
      properties: those that are text or a number.
    """

    id: int
    uri: str
    state: str = "LIVE"
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Execution:
    """A component in one run.

    Attributes:
      id: its number.
      node: name of the component in the pipeline.
      state: name of its state: NEW, RUNNING, COMPLETE, CACHED, FAILED, CANCELED.
      started, ended: seconds since 1970.
      inputs, outputs: numbers of artifacts; those of a cached component were produced by an earlier execution.
      properties: parameters that are text or a number.
    """

    id: int
    node: str
    state: str
    started: float
    ended: float
    inputs: frozenset[int] = frozenset()
    outputs: frozenset[int] = frozenset()
    properties: Mapping[str, Any] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """Whether there is a result, new or from the cache."""
        return self.state in ("COMPLETE", "CACHED")


@dataclass(frozen=True)
class Run:
    """One run of one model's pipeline.

    Attributes:
      name: as TFX names it, the time of its start.
      model: name of the model.
      started: seconds since 1970.
      executions: in the order of their start; a killed run has fewer.
      record: what the runner recorded, see `pipeline.runs.record`; empty for a run of an earlier release.
    """

    name: str
    model: str
    started: float
    executions: tuple[Execution, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether all components have a result, whatever was decided about the model."""
        return any(one.node == LAST and one.succeeded for one in self.executions)

    def execution(self, node: str) -> Execution | None:
        """Return the execution of a component; None if it was not reached."""
        return next((one for one in self.executions if one.node == node), None)


@dataclass(frozen=True)
class History:
    """Everything that ML Metadata knows about a root.

    Attributes:
      runs: oldest first.
      artifacts: by number.
    """

    runs: tuple[Run, ...]
    artifacts: Mapping[int, Artifact]


def read(store: MetadataStore) -> History:
    """Read the history. Example: tests/pipeline/runs/test_history.py."""
    contexts = store.get_contexts()
    pipelines = {one.name: _members(store, one.id) for one in contexts if one.type == "pipeline"}
    nodes = {number: one.name for one in contexts if one.type == "node" for number in _members(store, one.id)}
    executions = {one.id: one for one in store.get_executions()}
    inputs, outputs = _events(store, list(executions))
    runs = []
    for context in (one for one in contexts if one.type == "pipeline_run"):
        members = sorted(_members(store, context.id) & executions.keys())
        recorded = record.of(context)
        model = next((name for name, numbers in pipelines.items() if numbers & set(members)), "")
        model = model or str(recorded.get("model", ""))
        found = tuple(
            Execution(
                number,
                nodes.get(number, executions[number].type).removeprefix(f"{model}."),
                ExecutionProto.State.Name(executions[number].last_known_state),
                executions[number].create_time_since_epoch / 1000,
                executions[number].last_update_time_since_epoch / 1000,
                frozenset(inputs.get(number, ())),
                frozenset(outputs.get(number, ())),
                _plain(executions[number].custom_properties),
            )
            for number in members
        )
        runs.append(Run(context.name, model, context.create_time_since_epoch / 1000, found, recorded))
    artifacts = {
        one.id: Artifact(one.id, _real(one.uri), ArtifactProto.State.Name(one.state), _plain(one.custom_properties))
        for one in store.get_artifacts()
    }
    return History(tuple(sorted(runs, key=lambda run: run.started)), artifacts)


def _real(uri: str) -> str:
    return uri if "://" in uri else os.path.realpath(uri)


def _members(store: MetadataStore, context: int) -> set[int]:
    return {one.id for one in store.get_executions_by_context(context)}


def _events(store: MetadataStore, executions: list[int]) -> tuple[dict[int, set[int]], dict[int, set[int]]]:
    """Return the numbers of the artifacts that each execution read, and of those that it has as outputs."""
    inputs: dict[int, set[int]] = {}
    outputs: dict[int, set[int]] = {}
    for start in range(0, len(executions), _BATCH):
        for event in store.get_events_by_execution_ids(executions[start : start + _BATCH]):
            side = outputs if event.type in _OUTPUTS else inputs
            side.setdefault(event.execution_id, set()).add(event.artifact_id)
    return inputs, outputs


def _plain(properties: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {name: (value, value.WhichOneof("value")) for name, value in properties.items()}
    return {name: getattr(value, kind) for name, (value, kind) in kinds.items() if kind not in (None, "struct_value")}


def parsed(text: Any) -> dict[str, Any]:
    """Return a JSON object from a property; empty if it is none."""
    try:
        value = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def newest_first(runs: Iterable[Run]) -> list[Run]:
    """Sort runs by their start."""
    return sorted(runs, key=lambda run: run.started, reverse=True)
