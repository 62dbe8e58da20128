"""The entrypoint's own part; what it calls of TFX is run for real by test_rehearsal."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeflow import entrypoint
from kubeflow.task import invocation

ARGUMENTS = ["--backend", "kfp", "--executor_class_path", "x.Y", "--json_serialized_invocation_args"]
MISTAKE = '{"inputs": {"parameterValues": {"training_overrides": "steps=3"}}, "outputs": {}}'


@pytest.fixture(autouse=True)
def unchanged(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The entrypoint changes the process it owns: directory and environment."""
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    directory = Path.cwd()
    yield
    os.chdir(directory)


def test_a_mistake_of_the_user_is_one_paragraph_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert entrypoint.main([*ARGUMENTS, MISTAKE]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: The run's parameter `training` cannot be used")
    assert "Traceback" not in said


def test_what_it_does_not_know_goes_to_beam() -> None:
    options, rest = entrypoint.parse([*ARGUMENTS, "{}", "--runner=x", "--project", "p"])
    assert options.executor_class_path == "x.Y"
    assert rest == ["--runner=x", "--project", "p"]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("task", "diverted"),
    [(None, False), ({"type": "worker", "index": 0}, False), ({"type": "worker", "index": 1}, True)],
)
def test_only_workers_that_are_not_the_chief_write_elsewhere(
    task: dict[str, object] | None, diverted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    places: list[str] = []
    monkeypatch.setattr(invocation, "divert_outputs", lambda given, place: places.append(place))
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if task:
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1", "b:1"]}, "task": task}))
    assert entrypoint.main([*ARGUMENTS, MISTAKE]) == 2  # ends before TFX begins
    assert bool(places) == diverted
