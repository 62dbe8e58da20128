"""Failed tasks, exit tasks, unknown parameters, and dependency cycles in a rehearsal."""

import json
from pathlib import Path

import pytest
import yaml

from components.errors import UserError
from kubeflow import rehearsal
from kubeflow.compile import spec as specification

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
    with pytest.raises(UserError, match=r"(?s)^The task A failed \(exit code 3\): no luck\n\n.*log:\nno luck$"):
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


def with_exit_task(task: str, exit_task: str) -> str:
    """Return a pipeline of a task and an exit task, given by their Python code."""
    changed = specification.load(SPEC % "-V")
    specification.container(changed, "A")["args"] = ["-c", task]
    container = {
        "image": "i",
        "command": ["python"],
        "args": ["-c", exit_task, "{{$}}"],
        "env": [{"name": "VARIABLE", "value": "set"}],
    }
    specification.add_exit_task(changed, "Last", container, {"run": specification.RUN_NAME})
    return str(yaml.safe_dump(changed))


@pytest.mark.parametrize(
    ("backend", "code", "state", "error"),
    [
        ("kfp", 0, "COMPLETE", {}),
        ("kfp", 3, "FAILED", {}),
        ("kfp-next", 3, "FAILED", {"message": "The task A failed (exit code 3): no luck"}),
        ("vertex", 0, "SUCCEEDED", None),
        ("vertex", 3, "FAILED", {"message": "The task A failed (exit code 3): no luck"}),
    ],
)
def test_exit_task_gets_the_state_of_the_others(
    backend: str, code: int, state: str, error: dict[str, str] | None, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    last = f"import os, sys; open({str(seen)!r}, 'w').write(sys.argv[1]); assert os.environ['VARIABLE'] == 'set'"
    text = with_exit_task(f"import sys; print('no luck'); sys.exit({code})", last)
    printed: list[str] = []
    if code:
        with pytest.raises(UserError, match="^The task A failed"):
            rehearsal.run(text, backend, tmp_path, report=printed.append)
    else:
        assert rehearsal.run(text, backend, tmp_path, report=printed.append).keys() == {"A", "Last"}
    assert printed[-1].startswith("Last: ")
    parameters = json.loads(seen.read_text())["inputs"]["parameterValues"]
    assert parameters["status"].get("error") == error
    assert parameters["status"]["state"] == state
    assert parameters["run"].startswith("run-")


def test_failed_exit_task_does_not_hide_the_failed_task(tmp_path: Path) -> None:
    text = with_exit_task("import sys; sys.exit(3)", "import sys; print('no webhook'); sys.exit(2)")
    printed: list[str] = []
    with pytest.raises(UserError, match="^The task A failed"):
        rehearsal.run(text, "kfp", tmp_path, report=printed.append)
    assert printed[-1].startswith("The task Last failed (exit code 2): no webhook")
