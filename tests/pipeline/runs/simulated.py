"""Random histories of a root: runs of a pipeline of six components, with TFX's cache, checkpoints and a registry.

A history is simulated in memory. `materialize` writes one to a root, with ML Metadata's own client.
"""

import copy
import functools
import hashlib
import json
import os
import random
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as proto

from components.models import registry, versions
from pipeline import metadata_store
from pipeline.runs import history, retention
from pipeline.runs.history import Artifact, Execution, History, Run
from pipeline.runs.retention import Blessed, Choice, Disk, Registered, Training

NODES = ("CorpusExampleGen", "Transform", "Trainer", "LastBlessed", "Evaluator", "Pusher")
START = 1_700_000_000.0
BETWEEN_RUNS, EACH = 1000.0, 60.0  # seconds
KIND = "float32-8x1-tensorflow-2"


def digest(*values: Any) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Settings:
    """What a user chooses for a run."""

    model: str
    corpus: str
    steps: int = 1
    export: int = 1
    warm_start: bool = False
    blessed: bool = True

    @functools.cached_property
    def run_key(self) -> str:
        return digest("run", replace(self, blessed=True))

    @functools.cached_property
    def training_key(self) -> str:
        return digest("training", replace(self, blessed=True, export=1))


@dataclass
class Entry:
    """An entry of a registry."""

    version: int
    export: str
    run_key: str
    digest: str
    data: str
    served: bool = True


@dataclass
class Simulation:
    """A root.

    Attributes:
      content: digest of what each artifact contains.
      exported: by the number of a Model artifact, the export that it is a copy of.
      noted: those of them that state it; earlier releases did not.
      keys: what the cache compares, by execution.
      checkpoints: of each training, the time of each part.
      data: of each training, the digest of what it was trained on.
    """

    root: str = "/root"
    clock: float = START
    runs: list[Run] = field(default_factory=list)
    settings: list[Settings] = field(default_factory=list)
    artifacts: dict[int, Artifact] = field(default_factory=dict)
    content: dict[int, str] = field(default_factory=dict)
    exported: dict[int, str] = field(default_factory=dict)
    noted: set[int] = field(default_factory=set)
    keys: dict[int, Any] = field(default_factory=dict)
    checkpoints: dict[str, dict[str, float]] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    corpora: set[str] = field(default_factory=set)
    registries: dict[str, list[Entry]] = field(default_factory=dict)

    def history(self) -> History:
        return History(tuple(self.runs), dict(self.artifacts))

    def disk(self) -> Disk:
        trainings = tuple(
            Training(path, max(parts.values()), tuple(parts.items())) for path, parts in self.checkpoints.items()
        )
        exported = tuple((number, path) for number, path in self.exported.items() if number in self.noted)
        return Disk(f"{self.root}/pipeline", trainings, tuple(sorted(self.corpora)), exported)

    def registered(self) -> list[Registered]:
        return [retention.registered(model, self.blessed(model)) for model in self.registries]

    def blessed(self, model: str) -> Iterator[Blessed]:
        for entry in reversed(self.registries.get(model, [])):
            if entry.served or self.exists(entry.export):
                yield Blessed(entry.export, entry.run_key, entry.digest, entry.data)

    def newest_other(self, model: str, run_key: str | None = None, digest: str | None = None) -> str | None:
        """Mirror `components.models.registry.newest_other`."""
        return next((e.digest for e in self.blessed(model) if e.run_key != run_key and e.digest != digest), None)

    def initial_model(self, model: str, data: str) -> str | None:
        """Mirror `trainer.warm_start.initial_model`."""
        return next((e.digest for e in self.blessed(model) if e.data != data), None)

    def live(self, number: int) -> bool:
        return self.artifacts[number].state == "LIVE"

    def exists(self, export: str) -> bool:
        return export in self.checkpoints.get(os.path.dirname(export), {})

    def cached(self, key: Any) -> frozenset[int] | None:
        """Mirror `tfx.orchestration.portable.cache_utils.get_cached_outputs`."""
        for execution in (one for run in reversed(self.runs) for one in run.executions):
            if execution.succeeded and self.keys[execution.id] == key and all(map(self.live, execution.outputs)):
                return execution.outputs
        return None

    def run(self, settings: Settings, stop: str | None = None, state: str = "FAILED") -> Run:
        """Run the pipeline; in the component `stop` it fails, or is killed."""
        self.clock += BETWEEN_RUNS
        begun, outputs, executions = self.clock, {}, []
        staged = f"{self.root}/corpus/{digest(settings.corpus)}"
        self.corpora.add(staged)
        for node in NODES:
            properties = self.properties(node, settings, staged)
            inputs = [number for source in _inputs(node) for number in outputs[source]]
            key = (node, settings.model, tuple(inputs), tuple(properties.items()))
            killed = node == stop and state == "RUNNING"  # also before a result from the cache is recorded
            found = None if killed else self.cached(key)
            number = len(self.keys) + 1
            self.keys[number] = key
            begin, self.clock = self.clock, self.clock + (1 if found is not None else EACH)
            how = "CACHED"
            if found is None:
                how = state if node == stop else "COMPLETE"
                made = self.execute(node, settings, inputs, how)
                found = frozenset(self.add(node, number, content, export) for content, export in made)
            executions.append(Execution(number, node, how, begin, self.clock, frozenset(inputs), found, properties))
            outputs[node] = sorted(found)
            if how not in ("COMPLETE", "CACHED"):
                break
        made_run = Run(f"run {len(self.runs) + 1}", settings.model, begun, tuple(executions), _record(settings))
        self.runs.append(made_run)
        self.settings.append(settings)
        return made_run

    def properties(self, node: str, settings: Settings, staged: str) -> dict[str, Any]:
        if node == "LastBlessed":
            return {"newest": self.newest_other(settings.model, run_key=settings.run_key) or ""}
        return {
            "CorpusExampleGen": {"input_base": staged},
            "Trainer": {"custom_config": f"{settings.steps} {settings.export} {settings.warm_start}"},
            "Evaluator": {"blessed": settings.blessed},
            "Pusher": {"run_key": settings.run_key, "corpus": settings.corpus},
        }.get(node, {})

    def execute(self, node: str, settings: Settings, inputs: list[int], how: str) -> list[tuple[str, str | None]]:
        """Return the contents of the outputs, and of a model where it was exported to; no outputs if it fails."""
        contents = [self.content[number] for number in inputs]
        if node == "Trainer":
            source = self.initial_model(settings.model, contents[0]) if settings.warm_start else None
            directory = f"{self.root}/checkpoints/{digest(contents, settings.steps, source)}"
            export = f"{directory}/export-{digest(settings.export)}"
            parts = self.checkpoints.setdefault(directory, {})
            self.data[directory] = contents[0]
            if export not in parts:
                parts[f"{directory}/{KIND}"] = self.clock - 2
                if how == "COMPLETE":
                    parts[export] = self.clock - 1
            return [(digest(export), export), (digest("run"), None)] if how == "COMPLETE" else []
        if how != "COMPLETE":
            return []
        if node == "Pusher":
            (model, data) = inputs[0], settings.corpus
            entries = self.registries.setdefault(settings.model, [])
            if settings.blessed and (not entries or entries[-1].digest != self.content[model]):
                place = self.exported[model]
                entries.append(Entry(len(entries) + 1, place, settings.run_key, self.content[model], digest(data)))
        count = {"Transform": 1, "Evaluator": 2}.get(node, 1)
        made = digest(settings.corpus) if node in ("CorpusExampleGen", "Transform") else digest(node, contents)
        return [(made, None)] * count

    def add(self, node: str, execution: int, content: str, export: str | None) -> int:
        number = len(self.artifacts) + 1
        self.artifacts[number] = Artifact(number, f"{self.root}/pipeline/{node}/output{number}/{execution}")
        self.content[number] = content
        if export:
            self.exported[number] = export
            if self.checkpoints[os.path.dirname(export)][export] != self.clock - 1 or execution % 2:
                self.noted.add(number)
        return number

    def delete(self, choice: Choice) -> None:
        for one in choice.artifacts:
            self.artifacts[one.id] = replace(one, state="DELETED")
        for path in choice.directories:
            self.corpora.discard(path)
            self.checkpoints.pop(path, None)
            self.checkpoints.get(os.path.dirname(path), {}).pop(path, None)

    def copy(self) -> "Simulation":
        copied = copy.copy(self)
        for name in ("runs", "settings", "artifacts", "content", "exported", "noted", "keys", "data", "corpora"):
            setattr(copied, name, getattr(self, name).copy())
        copied.checkpoints = {path: parts.copy() for path, parts in self.checkpoints.items()}
        copied.registries = {model: list(map(copy.copy, found)) for model, found in self.registries.items()}
        return copied


def _record(settings: Settings) -> dict[str, str]:
    return {"run_key": settings.run_key, "training_key": settings.training_key}


def _inputs(node: str) -> tuple[str, ...]:
    return {
        "Transform": ("CorpusExampleGen",),
        "Trainer": ("Transform",),
        "LastBlessed": ("Trainer",),
        "Evaluator": ("CorpusExampleGen", "Trainer", "LastBlessed"),
        "Pusher": ("Trainer", "Evaluator"),
    }.get(node, ())


def simulate(seed: int, root: str = "/root") -> Simulation:
    """Simulate one to ten runs."""
    chance = random.Random(seed)
    made = Simulation(root)
    models = ("poems", "plays")[: chance.choice((1, 1, 2))]
    for _ in range(chance.randint(1, 10)):
        settings = Settings(
            chance.choice(models),
            f"text {chance.randint(1, 3)}",
            steps=chance.randint(1, 2),
            export=chance.randint(1, 2),
            warm_start=chance.random() < 0.3,
            blessed=chance.random() < 0.7,
        )
        if made.settings and chance.random() < 0.4:
            settings = chance.choice(made.settings[-2:])
        stop = chance.choice(NODES) if chance.random() < 0.25 else None
        made.run(settings, stop, chance.choice(("FAILED", "RUNNING")))
        for entries in made.registries.values():  # versions that `serving prune` deletes
            for entry in entries[:-1]:
                entry.served = entry.served and chance.random() < 0.7
    return made


def materialize(made: Simulation) -> None:
    """Write a simulated root to disk: ML Metadata, artifacts, checkpoints, corpora, registry and versions."""
    root = Path(made.root)
    for place in ("pipeline", "checkpoints", "corpus"):
        (root / place).mkdir(parents=True)
    _write_metadata(made)
    for number, one in made.artifacts.items():
        Path(one.uri).mkdir(parents=True)
        Path(one.uri, "part").write_text("x" * 10)
        if number in made.noted:
            Path(one.uri, "exported_to.txt").write_text(made.exported[number])
    for path in made.corpora:
        Path(path).mkdir()
        Path(path, "play.txt").write_text("text")
    digests: dict[str, str] = {}
    for directory, parts in made.checkpoints.items():
        for part, written in parts.items():
            _model(Path(part), part, made.data[directory])
            digests[part] = versions.digest(part)
            for file in Path(part).rglob("*"):
                os.utime(file, (written, written))
    for model, entries in made.registries.items():
        (root / "registry" / model).mkdir(parents=True)
        for entry in entries:
            served = root / "serving" / model / str(entry.version)
            if entry.served:
                _model(served, entry.export, entry.data)
            value = registry.Entry(entry.version, digests[entry.export], entry.run_key, entry.export, str(served))
            place = root / "registry" / model / f"{entry.version}.json"
            place.write_text(json.dumps(value.__dict__))


def three_runs(root: Path) -> Simulation:
    """Write a root with three finished runs of different texts, none of which was blessed."""
    made = Simulation(str(root))
    for steps in (1, 2, 3):
        made.run(Settings("poems", f"text {steps}", steps, blessed=False))
    materialize(made)
    return made


def files(root: Path) -> set[str]:
    """Return the paths of the files below a root."""
    return {str(path) for path in root.rglob("*") if path.is_file() and path.name not in (".lock", "metadata.db")}


def states(root: Path) -> dict[int, str]:
    """Return the state of each artifact."""
    found = history.read(metadata_store.connect(str(root / "metadata.db")))
    return {number: one.state for number, one in found.artifacts.items()}


def _model(path: Path, content: str, data: str) -> None:
    (path / "assets.extra").mkdir(parents=True)
    (path / "saved_model.pb").write_text(content)
    (path / "assets.extra" / "trained_on.json").write_text(json.dumps({"data": data}))


def _write_metadata(made: Simulation) -> None:
    store = metadata_store.connect(f"{made.root}/metadata.db")
    kind = store.put_artifact_type(proto.ArtifactType(name="Artifact"))
    live = proto.Artifact.LIVE
    artifacts = [proto.Artifact(type_id=kind, uri=one.uri, state=live) for one in made.artifacts.values()]
    if artifacts:
        store.put_artifacts(artifacts)
    types = {
        name: store.put_context_type(proto.ContextType(name=name)) for name in ("pipeline", "pipeline_run", "node")
    }
    names = {("pipeline", run.model) for run in made.runs} | {("pipeline_run", run.name) for run in made.runs}
    names |= {("node", f"{run.model}.{node}") for run in made.runs for node in NODES}
    listed = sorted(names)
    numbers = dict(zip(listed, store.put_contexts([proto.Context(type_id=types[k], name=n) for k, n in listed])))
    executed = store.put_execution_type(proto.ExecutionType(name="Component"))
    every = [(run, one) for run in made.runs for one in run.executions]
    store.put_executions([_execution(executed, one) for _, one in every])
    events, associations = [], []
    for run, one in every:
        for artifacts_of, event in ((one.inputs, proto.Event.INPUT), (one.outputs, proto.Event.OUTPUT)):
            events += [proto.Event(artifact_id=number, execution_id=one.id, type=event) for number in artifacts_of]
        contexts = [("pipeline", run.model), ("pipeline_run", run.name), ("node", f"{run.model}.{one.node}")]
        associations += [proto.Association(execution_id=one.id, context_id=numbers[name]) for name in contexts]
    if events:
        store.put_events(events)
    store.put_attributions_and_associations([], associations)
    with sqlite3.connect(f"{made.root}/metadata.db") as connection:  # the client sets the present time
        starts = [(round(run.started * 1000), run.name) for run in made.runs]
        connection.executemany("UPDATE Context SET create_time_since_epoch = ? WHERE name = ?", starts)
        times = [(round(one.started * 1000), round(one.ended * 1000), one.id) for _, one in every]
        update = "UPDATE Execution SET create_time_since_epoch = ?, last_update_time_since_epoch = ? WHERE id = ?"
        connection.executemany(update, times)


def _execution(kind: int, one: Execution) -> proto.Execution:
    made = proto.Execution(type_id=kind, last_known_state=proto.Execution.State.Value(one.state))
    for name, value in _text(one.properties):
        made.custom_properties[name].string_value = value
    return made


def _text(properties: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in properties.items() if isinstance(value, str))
