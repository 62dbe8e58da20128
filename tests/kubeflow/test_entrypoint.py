"""The entrypoint's own part; what it calls of TFX is run for real by test_rehearsal."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeflow import entrypoint

ARGUMENTS = ["--backend", "kfp", "--executor_class_path", "x.Y", "--json_serialized_invocation_args"]


@pytest.fixture(autouse=True)
def unchanged(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The entrypoint changes the process it owns: directory and environment."""
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    directory = Path.cwd()
    yield
    os.chdir(directory)


def test_a_mistake_of_the_user_is_one_paragraph_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    parameters = '{"inputs": {"parameterValues": {"training_overrides": "steps=3"}}, "outputs": {}}'
    assert entrypoint.main([*ARGUMENTS, parameters]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: The run's parameter `training` cannot be used")
    assert "Traceback" not in said


def test_what_it_does_not_know_goes_to_beam() -> None:
    options, rest = entrypoint.parse([*ARGUMENTS, "{}", "--runner=x", "--project", "p"])
    assert options.executor_class_path == "x.Y"
    assert rest == ["--runner=x", "--project", "p"]


@pytest.mark.parametrize(
    ("cluster", "index", "chief"),
    [('{"worker": ["a:1", "b:1"]}', 0, True), ('{"worker": ["a:1", "b:1"]}', 1, False)],
)
def test_one_worker_is_the_chief(cluster: str, index: int, chief: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    task = f'{{"type": "worker", "index": {index}}}'
    monkeypatch.setenv("TF_CONFIG", f'{{"cluster": {cluster}, "task": {task}}}')
    assert entrypoint._is_chief() == chief
