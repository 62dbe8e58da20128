"""Failed tasks, unknown parameters, dependency cycles, files and metadata in a rehearsal."""

from pathlib import Path

import pytest

from components.errors import UserError
from kubeflow import rehearsal

pytestmark = pytest.mark.integration
SPEC = """
pipelineInfo: {name: small}
schemaVersion: 2.1.0
root:
  dag: {tasks: {A: {componentRef: {name: A}, taskInfo: {name: A}}}}
  inputDefinitions: {parameters: {corpus: {parameterType: STRING, defaultValue: sample, isOptional: true}}}
components: {A: {executorLabel: A_executor}}
deploymentSpec: {executors: {A_executor: {container: {image: i, command: [python], args: [%s]}}}}
"""


def test_failed_task_ends_the_rehearsal_with_its_output(tmp_path: Path) -> None:
    text = SPEC % """-c, "import sys; print('no luck'); sys.exit(3)" """
    with pytest.raises(UserError, match=r"(?s)task A ended with code 3.*no luck"):
        rehearsal.run(text, "kfp", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == []


def test_unknown_field_or_parameter_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such parameter"):
        rehearsal.run(SPEC % "-V", "kfp", tmp_path, {"steps": "3"})
    with pytest.raises(Exception, match="unknown"):
        rehearsal.run((SPEC % "-V") + "unknown: 1\n", "kfp", tmp_path)


def test_dependency_cycle_is_explained(tmp_path: Path) -> None:
    cycle = (SPEC % "-V").replace("taskInfo", "dependentTasks: [A], taskInfo")
    with pytest.raises(UserError, match=r"Dependency cycle between tasks. Received: \['A'\]"):
        rehearsal.run(cycle, "kfp", tmp_path)


def test_object_store_keeps_files_and_no_empty_directories(tmp_path: Path) -> None:
    (tmp_path / "a" / "empty").mkdir(parents=True)
    (tmp_path / "a" / "full").mkdir()
    (tmp_path / "a" / "full" / "file").write_text("x")
    rehearsal._copy_files(tmp_path / "a", tmp_path / "b")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted((tmp_path / "b").rglob("*"))] == [
        "b/full",
        "b/full/file",
    ]


def test_artifact_may_be_one_file(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("x")
    rehearsal._copy_files(tmp_path / "report", tmp_path / "bucket" / "run" / "report")
    assert (tmp_path / "bucket" / "run" / "report").read_text() == "x"


def test_metadata_is_wrapped_as_by_ml_metadata() -> None:
    values = [True, ["a"], {"k": 1}, "x", 2.0]
    assert [rehearsal._wrapped(value) for value in values] == [1, {"list": ["a"]}, {"struct": {"k": 1}}, "x", 2.0]
