"""The small KFP server, and rehearsals of the compiled pipeline, for the modules that share them."""

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kubeflow import connection
from pipeline import overrides
from pipeline.config import Config


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What the server holds and saw. It is loaded by its path: a package `tests` of the index may hide ours."""
    name = "kfp_server_for_tests"
    if name not in sys.modules:
        found = importlib.util.spec_from_file_location(name, Path(__file__).with_name("kfp_server.py"))
        assert found
        assert found.loader
        sys.modules[name] = importlib.util.module_from_spec(found)
        found.loader.exec_module(sys.modules[name])
    from kubeflow import server

    monkeypatch.setattr(server, "RETRY_PAUSES", (0.01, 0.01))
    monkeypatch.setattr(connection, "TIMEOUTS", (1.0, 1.0))
    for variable in ("KFP_TOKEN", "KFP_COOKIES", "KFP_NAMESPACE", "KF_PIPELINES_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    with sys.modules[name].running() as running:
        yield running


@dataclass(frozen=True)
class Rehearsed:
    """One rehearsal: what each task gave, what it cost, and the versions served afterwards."""

    outcomes: dict[str, Any]
    versions: list[str]
    backend: str


SMALL = [
    "corpus.source=sample",
    "model.units=48",
    "model.embedding=8",
    "training.batch_size=16",
    "training.sequence_length=50",
    "training.steps=150",
    "training.eval_every=75",
    "training.learning_rate=0.01",
    "training.precision=float32",
    "training.sample_chars=0",
    "evaluation.threshold=60.0",
]


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stands for the bucket and both volumes."""
    return tmp_path_factory.mktemp("rehearsal")


@pytest.fixture(scope="session")
def rehearsed_config(workspace: Path) -> Config:
    """The real configuration, shrunk, with its volumes in the workspace."""
    places = [f"cluster.root={workspace}/state", f"cluster.serving_dir={workspace}/serving"]
    return overrides.load("quick", [*SMALL, *places])


@pytest.fixture(scope="session")
def rehearsals(workspace: Path, rehearsed_config: Config) -> dict[str, Rehearsed]:
    """Three runs on the same volumes, one after the other; minutes."""
    from kubeflow import rehearsal
    from kubeflow.compiler import compile_pipeline

    def run(backend: str, parameters: dict[str, str]) -> Rehearsed:
        text = compile_pipeline(rehearsed_config, backend, rehearse=True)
        outcomes = rehearsal.run(text, backend, workspace, parameters)
        served = sorted(path.name for path in (workspace / "serving" / "char_rnn").iterdir())
        return Rehearsed(outcomes, served, backend)

    return {
        "first": run("vertex", {}),
        "unchanged": run("kfp", {}),
        "changed": run("kfp", {"training": '{"steps": 200}'}),
    }
