"""Failed tasks, unknown parameters, and dependency cycles in a rehearsal."""

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
