"""An attempt of a task begins with empty outputs."""

import doctest
from pathlib import Path
from typing import Any

import pytest

from kubeflow.task import retry
from tests.bucket import Bucket


def invocation(root: str) -> dict[str, Any]:
    outputs = {name: {"artifacts": [{"uri": f"{root}/{name}"}]} for name in ("schema", "model_run", "missing")}
    inputs = {"examples": {"artifacts": [{"uri": f"{root}/examples"}]}}
    return {"inputs": {"artifacts": inputs}, "outputs": {"artifacts": outputs}}


def test_docstring_examples_are_true() -> None:
    assert doctest.testmod(retry).failed == 0


def test_outputs_of_an_earlier_attempt_are_deleted_and_everything_else_is_kept(tmp_path: Path) -> None:
    for name in ("schema", "model_run", "examples", "schema_of_another_task"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "file").write_text("x")
    retry.clear_outputs(invocation(str(tmp_path)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["examples", "model_run", "schema_of_another_task"]


@pytest.mark.integration
@pytest.mark.parametrize("placeholders", [False, True])
def test_outputs_in_a_bucket_are_deleted(placeholders: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Bucket.install(monkeypatch, placeholders)
    kept = {f"gs://b/run/{name}": b"x" for name in ("model_run/events", "examples/a", "schema_of_another_task/a")}
    store.objects.update({"gs://b/run/schema/schema.pbtxt": b"x", "gs://b/run/schema/Split-a/b": b"x", **kept})
    retry.clear_outputs(invocation("gs://b/run"))
    assert store.objects == kept
