"""Rehearsals of the pipeline with a small configuration, for the tests of all backends."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from kubeflow import rehearsal
from kubeflow.compile.compiler import compile_pipeline
from pipeline.config import overrides
from pipeline.config.run import Config
from tests import warm

TASKS = {"CorpusExampleGen", "StatisticsGen", "ImportSchemaGen", "ExampleValidator", "AnomalyGate", "DriftCheck"}
TASKS |= {"Transform", "Trainer", "LastBlessed", "Evaluator", "InfraCheck", "Pusher", "Report"}
MORE_STEPS = {"training": '{"steps": 100}', "evaluation": '{"threshold": 59}'}
_SMALL = [
    "corpus.source=sample",
    "model.units=48",
    "model.embedding=8",
    "training.batch_size=32",
    "training.sequence_length=25",
    "training.steps=60",
    "training.eval_every=30",
    "training.learning_rate=0.01",
    "training.precision=float32",
    "training.sample_chars=0",
    "training.measured_chars=0",
    "evaluation.threshold=60.0",
]


@dataclass(frozen=True)
class Rehearsed:
    """Outcomes of the tasks of one rehearsal, and the versions served afterwards."""

    outcomes: dict[str, Any]
    versions: list[str]

    def metadata(self, task: str, output: str) -> dict[str, Any]:
        """Return the metadata of an artifact."""
        found: dict[str, Any] = self.outcomes[task].artifacts[output]["metadata"]
        return found

    def uris(self) -> list[str]:
        """Return the URIs of all artifacts."""
        return [artifact["uri"] for outcome in self.outcomes.values() for artifact in outcome.artifacts.values()]


@dataclass
class Workspace:
    """Directories in place of the bucket and both volumes of a cluster."""

    backend: str
    path: Path
    runs: dict[str, Rehearsed] = field(default_factory=dict)

    @property
    def config(self) -> Config:
        """The quick preset with small values, and its volumes in this workspace."""
        places = [f"cluster.root={self.path}/state", f"cluster.serving_dir={self.path}/serving"]
        return overrides.load("quick", [*_SMALL, *places])

    def run(self, name: str, parameters: Mapping[str, str] | None = None, backend: str | None = None) -> None:
        """Rehearse once, under the workspace's backend or another one; minutes."""
        backend = backend or self.backend
        text = compile_pipeline(self.config, rehearsal.BACKENDS[backend].compiled_for, rehearse=True)
        with mock.patch.object(sys, "executable", warm.python()):  # its folder is first on a task's PATH
            outcomes = rehearsal.run(text, backend, self.path, dict(parameters or {}))
        served = sorted(path.name for path in (self.path / "serving" / "char_rnn").iterdir())
        self.runs[name] = Rehearsed(outcomes, served)
