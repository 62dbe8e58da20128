"""Where the task reads and writes on each backend; the rehearsals run it as a task."""

import doctest
import json
from pathlib import Path
from typing import Any

import pytest

from components import cpu_quota
from kubeflow.report import __main__ as program
from kubeflow.report import result
from kubeflow.task import deadline, invocation
from pipeline.page import contents
from tests.pipeline.page.results import CONTENTS, FIGURES

pytestmark = pytest.mark.integration


def given(root: str, output_file: Path) -> str:
    def artifacts(*names: str, **fields: Any) -> dict[str, Any]:
        return {name: {"artifacts": [{"name": f"n-{name}", "uri": f"{root}/{name}", **fields}]} for name in names}

    return json.dumps(
        {
            "inputs": {
                "artifacts": artifacts("model", metadata={"a": 1}) | artifacts("blessing"),
                "parameterValues": {"corpus": "mine"},
            },
            "outputs": {"artifacts": artifacts("metrics", "report"), "outputFile": str(output_file)},
        }
    )


@pytest.mark.parametrize(
    ("root", "folder"), [("minio://b/r", "minio/b/r"), ("s3://b/r", "s3/b/r"), ("gs://b/r", "gcs/b/r"), ("", "")]
)
def test_files_are_where_the_backend_keeps_them_and_metrics_are_metadata(
    root: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: dict[str, Any] = {}
    monkeypatch.setattr(contents, "read", lambda sources, corpus: read.update(sources) or CONTENTS)
    monkeypatch.setenv(invocation.COPIES, str(tmp_path))
    started: list[float] = []
    monkeypatch.setattr(deadline, "start", started.append)
    for variable in cpu_quota.THREADS:
        monkeypatch.setenv(variable, "1")
    place, output_file = tmp_path / folder, tmp_path / "kfp_outputs" / "output_metadata.json"
    root = root or str(place)
    assert program.main(["--timeout_seconds", "60", given(root, output_file)]) == 0
    assert started == [60]
    assert read == {
        "model": contents.Source(str(place / "model"), {"a": 1}),
        "blessing": contents.Source(str(place / "blessing"), {}),
    }
    assert (place / "report").read_text(encoding="utf-8").startswith("<!doctype html>")
    figures = result.metrics(FIGURES)
    assert json.loads((place / "metrics").read_text()) == figures
    reported = {"name": "n-metrics", "uri": f"{root}/metrics", "metadata": figures}
    assert json.loads(output_file.read_text()) == {"artifacts": {"metrics": {"artifacts": [reported]}}}


def test_docstring_example_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(invocation.COPIES, raising=False)
    assert doctest.testmod(program).failed == 0
