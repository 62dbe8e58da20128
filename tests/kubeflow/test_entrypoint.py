"""The entrypoint up to TFX's own, which the rehearsals run."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from components import cpu_quota
from kubeflow import entrypoint
from kubeflow.task import deadline, invocation, retry
from trainer.cluster import ProcessLost

ARGUMENTS = ["--backend", "kfp", "--executor_class_path", "x.Y", "--json_serialized_invocation_args"]
MISTAKE = {"run_training": "steps=3", "custom_config": '{"training": {}}'}
INVOCATION = json.dumps({"inputs": {"parameterValues": MISTAKE}, "outputs": {}})


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The entrypoint changes the directory and the environment of its process."""
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    for variable in cpu_quota.THREADS:
        monkeypatch.setenv(variable, "1")
    directory = Path.cwd()
    yield
    os.chdir(directory)


def test_mistake_is_one_paragraph_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert entrypoint.main([*ARGUMENTS, INVOCATION]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: The run's parameters cannot be used: training should be a JSON object")
    assert "Traceback" not in printed


def test_task_has_threads_for_its_cores_and_a_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in cpu_quota.THREADS:
        monkeypatch.delenv(variable)
    monkeypatch.setattr(cpu_quota, "cores", lambda: 3)
    started: list[float] = []
    monkeypatch.setattr(deadline, "start", started.append)
    assert entrypoint.main(["--timeout_seconds", "60", *ARGUMENTS, INVOCATION]) == 2
    assert started == [60]
    assert [os.environ[variable] for variable in cpu_quota.THREADS] == ["3", "3", "3"]


def test_unknown_arguments_are_for_beam() -> None:
    options, rest = entrypoint.parse([*ARGUMENTS, "{}", "--runner=x", "--project", "p"])
    assert options.executor_class_path == "x.Y"
    assert rest == ["--runner=x", "--project", "p"]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("executor", "code"),
    [("components.ingest.corpus_example_gen.Executor", 2), ("tfx.components.trainer.executor.GenericExecutor", 0)],
)
def test_tasks_that_use_beam_check_its_job_service_first(
    executor: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

    monkeypatch.setattr(kubeflow_v2_run_executor, "main", lambda _: None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    options = ["--backend", "vertex", "--executor_class_path", executor, "--json_serialized_invocation_args", "{}"]
    assert entrypoint.main([*options, "--runner=PortableRunner", f"--job_endpoint=127.0.0.1:{port}"]) == code
    assert ("Beam's job service cannot be reached" in capsys.readouterr().err) == (code == 2)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("task", "diverted"),
    [(None, False), ({"type": "worker", "index": 0}, False), ({"type": "worker", "index": 1}, True)],
)
def test_only_workers_that_are_not_the_chief_divert_their_outputs_and_the_chief_clears_them(
    task: dict[str, object] | None, diverted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    directories: list[str] = []

    def divert(given: object, directory: str) -> None:
        assert Path(directory).is_dir()
        directories.append(directory)

    cleared: list[object] = []
    monkeypatch.setattr(invocation, "divert_outputs", divert)
    monkeypatch.setattr(retry, "clear_outputs", cleared.append)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if task:
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1", "b:1"]}, "task": task}))
    assert entrypoint.main([*ARGUMENTS, INVOCATION]) == 2  # fails before TFX starts
    assert bool(directories) == diverted
    assert bool(cleared) != diverted, "the outputs are the chief's"
    assert not any(Path(directory).exists() for directory in directories)


def test_process_that_lost_another_one_asks_the_operator_to_start_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lose(*_: object) -> int:
        raise ProcessLost("Another process has ended.")

    monkeypatch.setattr(entrypoint, "_execute", lose)
    code = entrypoint.main([*ARGUMENTS, "{}"])
    assert code >= 128, "the training operator's limit"
    assert capsys.readouterr().err == "failed: Another process has ended.\n"
