"""What a task finds, may leave out, and passes on under each backend."""

from pathlib import Path
from typing import Any

import pytest

from components.errors import UserError
from kubeflow.rehearsal import backends
from kubeflow.rehearsal.backends import BACKENDS

SCHEMA = "title: tfx.Model\ntype: object\n"
METADATA = {"flag": True, "list": ["a"], "map": {"k": 1}, "text": "x", "number": 2.0}
WRAPPED = {"flag": 1, "list": {"list": ["a"]}, "map": {"struct": {"k": 1}}, "text": "x", "number": 2.0}


def artifact(uri: str) -> dict[str, Any]:
    return {"uri": uri, "type": {"instanceSchema": SCHEMA}, "metadata": METADATA}


@pytest.mark.parametrize(
    ("backend", "kind", "metadata"),
    [
        ("kfp", {"instanceSchema": ""}, WRAPPED),
        ("kfp-next", {"schemaTitle": SCHEMA}, METADATA),
        ("vertex", {"instanceSchema": SCHEMA}, METADATA),
    ],
)
def test_next_task_gets_type_and_metadata_in_the_form_of_the_backend(
    backend: str, kind: dict[str, str], metadata: dict[str, Any], tmp_path: Path
) -> None:
    given = BACKENDS[backend](tmp_path, tmp_path).passed_on(artifact("u"))
    assert given == {"uri": "u", "type": kind, "metadata": metadata}


@pytest.mark.parametrize("backend", ["kfp", "kfp-next"])
def test_object_store_keeps_files_and_no_empty_directories(backend: str, tmp_path: Path) -> None:
    rules = BACKENDS[backend](tmp_path / "bucket", tmp_path / "pod")
    model = artifact(f"{rules.root()}/run/model")
    for folder in ("empty", "full"):
        (rules.local(model["uri"]) / folder).mkdir(parents=True)
    (rules.local(model["uri"]) / "full" / "file").write_text("x")
    rules.upload(model)
    next_pod = BACKENDS[backend](tmp_path / "bucket", tmp_path / "next")
    next_pod.download(model)
    copied = next_pod.local(model["uri"])
    assert copied.is_relative_to(tmp_path / "next" / "copies" / "minio")
    assert [path.relative_to(copied).as_posix() for path in sorted(copied.rglob("*"))] == ["full", "full/file"]


@pytest.mark.parametrize("backend", ["kfp", "kfp-next"])
def test_artifact_may_be_one_file(backend: str, tmp_path: Path) -> None:
    rules = BACKENDS[backend](tmp_path / "bucket", tmp_path / "pod")
    report = artifact(f"{rules.root()}/run/report")
    rules.local(report["uri"]).parent.mkdir(parents=True)
    rules.local(report["uri"]).write_text("x")
    rules.upload(report)
    assert (tmp_path / "bucket" / "run" / "report").read_text() == "x"


def test_without_ml_metadata_metrics_are_numbers_and_need_no_file(tmp_path: Path) -> None:
    rules = BACKENDS["kfp-next"](tmp_path, tmp_path)
    metrics = {"uri": "minio://bucket/metrics", "type": {"schemaTitle": "system.Metrics", "schemaVersion": "0.0.1"}}
    rules.upload(metrics | {"metadata": {"perplexity": 4.5}})
    with pytest.raises(UserError, match=r"only numbers as metrics. Received: \['text', 'flag'\]"):
        rules.upload(metrics | {"metadata": {"perplexity": 4.5, "text": "x", "flag": True}})
    passed = rules.passed_on(metrics | {"metadata": {}})
    assert passed["type"] == {"schemaTitle": "system.Metrics"}


def test_artifact_outside_of_the_bucket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="outside of its bucket.*Received: /tmp/x"):
        BACKENDS["kfp"](tmp_path, tmp_path).upload(artifact("/tmp/x"))


@pytest.mark.parametrize("uri", ["minio://bucket/run/model", "gs://bucket/run/model"])
def test_without_ml_metadata_a_missing_output_fails_the_task(uri: str, tmp_path: Path) -> None:
    rules = backends.WithoutMlMetadata(tmp_path / "bucket", tmp_path / "pod")
    with pytest.raises(UserError, match=f"no such output.*Received: {uri}"):
        rules.upload(artifact(uri))
    rules.local(uri).mkdir(parents=True)
    rules.upload(artifact(uri))
    assert not (tmp_path / "bucket").exists()


def test_with_ml_metadata_an_output_may_be_missing(tmp_path: Path) -> None:
    BACKENDS["kfp"](tmp_path / "bucket", tmp_path / "pod").upload(artifact("minio://bucket/run/model"))
    assert not (tmp_path / "bucket").exists()


def test_without_ml_metadata_the_task_gets_the_log_and_fields_of_newer_releases(tmp_path: Path) -> None:
    message = {"inputs": {"artifacts": {"model": {"artifacts": [artifact("u")]}}}, "outputs": {}}
    given = BACKENDS["kfp-next"](tmp_path, tmp_path).invocation(message)
    assert given["inputs"]["artifacts"]["model"]["artifacts"][0]["artifactId"]
    (log,) = given["outputs"]["artifacts"]["executor-logs"]["artifacts"]
    assert log["type"] == {"schemaTitle": "system.Artifact"}
