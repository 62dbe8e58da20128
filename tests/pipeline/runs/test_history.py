"""Runs, executions and artifacts are read as ML Metadata recorded them."""

from dataclasses import replace
from pathlib import Path

from pipeline import metadata_store
from pipeline.runs import history
from pipeline.runs.history import Execution, Run
from tests.pipeline.runs.simulated import materialize, simulate

SEED = 17


def written(run: Run) -> Run:
    """Leave out what the simulation does not write."""
    executions = tuple(replace(one, properties={}, node=one.node) for one in run.executions)
    return replace(run, executions=executions, record={})


def test_history_is_read_as_recorded(tmp_path: Path) -> None:
    made = simulate(SEED, str(tmp_path / "root"))
    assert {run.model for run in made.runs} == {"poems", "plays"}
    assert {one.state for run in made.runs for one in run.executions} >= {"COMPLETE", "CACHED"}
    materialize(made)
    found = history.read(metadata_store.connect(f"{made.root}/metadata.db"))
    assert [written(run) for run in found.runs] == [written(run) for run in made.runs]
    assert found.artifacts == made.artifacts
    first = found.runs[0].execution("CorpusExampleGen")
    assert first
    assert first.properties == made.runs[0].executions[0].properties


def test_run_is_finished_if_its_last_component_has_a_result() -> None:
    last = Execution(1, "Pusher", "CACHED", 0.0, 1.0)
    assert Run("a", "poems", 0.0, (last,)).finished
    assert not Run("a", "poems", 0.0, (replace(last, state="RUNNING"),)).finished
    assert not Run("a", "poems", 0.0, (replace(last, node="Trainer"),)).finished


def test_store_of_no_run_is_empty(tmp_path: Path) -> None:
    assert history.read(metadata_store.connect(str(tmp_path / "metadata.db"))) == history.History((), {})
