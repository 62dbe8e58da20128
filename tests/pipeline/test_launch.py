"""How the end of a component is reported; tests/test_caching.py and tests/test_e2e.py run whole pipelines."""

import socket
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ml_metadata.proto.metadata_store_pb2 import Execution, ExecutionType
from tfx.orchestration import metadata
from tfx.proto.orchestration.executable_spec_pb2 import BeamExecutableSpec, PythonClassExecutableSpec

from components import beam
from components.errors import UserError
from pipeline import launch
from pipeline.console import ProgressHandler, Screen
from pipeline.launch import WatchedRunner

pytestmark = pytest.mark.integration  # TFX imports TensorFlow


@pytest.mark.parametrize(
    ("error", "raised", "how"),
    [
        (ValueError("x"), ValueError, "failed"),
        (KeyboardInterrupt(), KeyboardInterrupt, "interrupted"),
        (RuntimeError("KeyboardInterrupt [while running 'Analyze']"), KeyboardInterrupt, "interrupted"),  # from Beam
    ],
)
def test_component_that_raises_is_reported_as_failed_or_interrupted(
    error: BaseException, raised: type[BaseException], how: str
) -> None:
    def launch() -> None:
        raise error

    ends: list[tuple[str, str]] = []
    runner = WatchedRunner(lambda _: nullcontext(), lambda name, _, end: ends.append((name, end)), "run")
    with pytest.raises(raised):
        runner._launch("Transform", lambda: SimpleNamespace(launch=launch), None)  # type: ignore[arg-type,return-value]
    assert ends == [("Transform", how)]
    assert [(name, one.how, one.outputs) for name, one in runner.outcomes.items()] == [("Transform", how, {})]


@pytest.mark.parametrize(("errors", "ended"), [(0, "executed"), (1, "executed"), (2, "failed")])
def test_component_on_a_beam_engine_is_executed_once_more(
    errors: int, ended: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = [RuntimeError("Pipeline job-1 failed in state FAILED")] * errors

    def attempt() -> SimpleNamespace:
        if failing:
            raise failing.pop()
        return SimpleNamespace(execution_id=7)

    monkeypatch.setattr(launch, "_outputs", lambda *_: {})
    monkeypatch.setattr(launch._PROGRESS, "handlers", [ProgressHandler(Screen(sys.stdout))])
    ends: list[str] = []
    runner = WatchedRunner(lambda _: nullcontext(), lambda *end: ends.append(end[2]), "run")
    made: list[Any] = []

    def make() -> Any:
        made.append(SimpleNamespace(launch=attempt, executed=True))
        return made[-1]

    with pytest.raises(RuntimeError) if ended == "failed" else nullcontext():
        runner._launch("Transform", make, None, retries=1)
    assert ends == [ended]
    assert len(made) == min(errors + 1, 2), "launchers work once"
    assert capsys.readouterr().out.count("executing the component once more") == min(errors, 1)


@pytest.mark.parametrize(
    ("spec", "retries"),
    [
        (BeamExecutableSpec(beam_pipeline_args=["--runner=PortableRunner"]), 1),
        (BeamExecutableSpec(beam_pipeline_args=list(beam.LOCAL)), 0),
        (PythonClassExecutableSpec(), 0),
    ],
)
def test_only_components_on_a_beam_engine_are_repeated(spec: Any, retries: int) -> None:
    assert launch._retries(spec) == retries


def test_job_service_that_has_ended_is_reported_and_the_component_not_repeated() -> None:
    """Beam's client would wait for it, for as long as a job may last."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"127.0.0.1:{server.getsockname()[1]}"
    spec = BeamExecutableSpec(beam_pipeline_args=["--runner=PortableRunner", f"--job_endpoint={endpoint}"])
    made: list[Any] = []

    def make() -> Any:
        step = launch._Launcher.__new__(launch._Launcher)
        step._executor_spec = spec
        made.append(SimpleNamespace(launch=lambda: step._run_executor(None)))
        return made[-1]

    with pytest.raises(UserError, match=f"job service cannot be reached.*{endpoint}"):
        launch._attempt(make, retries=launch._retries(spec))
    assert len(made) == 1


def test_component_that_is_executed_once_more_counts_as_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TFX gives it the same execution; `pipeline.unfinished` deletes what is left of running ones."""
    with metadata.Metadata(metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.db"))) as handle:
        kind = handle.store.put_execution_type(ExecutionType(name="Transform"))
        failed = handle.store.put_executions([Execution(type_id=kind, last_known_state=Execution.FAILED)])
        found = handle.store.get_executions_by_id(failed)
        monkeypatch.setattr(launch.execution_lib, "get_executions_associated_with_all_contexts", lambda *_: found)
        launch._Launcher.__new__(launch._Launcher)._register_or_reuse_execution(handle, [])
        (execution,) = handle.store.get_executions_by_id(failed)
    assert execution.last_known_state == Execution.RUNNING
