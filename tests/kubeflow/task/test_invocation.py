"""Differences between open-source Kubeflow Pipelines and TFX, one by one."""

import json
from pathlib import Path
from typing import Any

import pytest

from kubeflow.task import invocation

SPEC = {"artifacts": {"model": {"artifactType": {"instanceSchema": "title: tfx.Model\ntype: object\n"}}}}


def given(artifact: dict[str, Any], side: str = "inputs", name: str = "model") -> dict[str, Any]:
    return {"inputs": {}, "outputs": {}} | {side: {"artifacts": {name: {"artifacts": [artifact]}}}}


def first(changed: dict[str, Any], side: str = "inputs", name: str = "model") -> dict[str, Any]:
    artifact: dict[str, Any] = changed[side]["artifacts"][name]["artifacts"][0]
    return artifact


def restored(directory: Path, artifact: dict[str, Any]) -> Any:
    """Return an artifact in a task's result as the backend gets it."""
    output = directory / "output.json"
    output.write_text(json.dumps({"artifacts": {"model": {"artifacts": [artifact]}}}))
    invocation.restore({"outputs": {"outputFile": str(output)}})
    return json.loads(output.read_text())["artifacts"]["model"]["artifacts"][0]


@pytest.mark.parametrize(
    "kind",
    [
        {"instanceSchema": ""},
        {},
        None,
        {"schemaTitle": "title: tfx.Model\ntype: object\n"},
        {"schemaTitle": "system.Model"},
    ],
)
def test_type_is_taken_from_the_task(kind: Any) -> None:
    changed = given({"uri": "gs://b/model", "type": kind})
    invocation.adapt(changed, SPEC)
    assert first(changed)["type"] == SPEC["artifacts"]["model"]["artifactType"]


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("minio://mlpipeline/v2/x", "minio/mlpipeline/v2/x"),
        ("s3://bucket/x", "s3/bucket/x"),
        ("gs://bucket/x", "gs://bucket/x"),
        ("/mnt/state/x", "/mnt/state/x"),
    ],
)
def test_uri_that_tensorflow_cannot_open_becomes_the_local_copy(
    uri: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(invocation.COPIES, str(tmp_path))
    expected = path if "://" in path or path.startswith("/") else str(tmp_path / path)
    for side in ("inputs", "outputs"):
        changed = given({"uri": uri}, side)
        invocation.adapt(changed, SPEC)
        assert first(changed, side)["uri"] == expected
    assert restored(tmp_path, {"uri": expected}) == {"uri": uri}


def test_without_the_variable_local_copies_are_below_the_root_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(invocation.COPIES, raising=False)
    assert invocation.local("minio://mlpipeline/x") == "/minio/mlpipeline/x"
    assert restored(tmp_path, {"uri": "/s3/bucket/x"}) == {"uri": "s3://bucket/x"}


def test_result_has_no_paths_of_the_pod_in_properties_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(invocation.COPIES, raising=False)
    metadata = {
        "blessed": 1.0,
        "current_model": "/minio/bucket/model",
        "message": "compared with '/s3/bucket/a', not with /minio/bucket/b",
        "models": ["/minio/bucket/a", {"other": '{"path": "/s3/bucket/b"}'}],
        "pushed_destination": "/models/char_rnn/1",
        "others": ["/mnt/minio/a", "s3://b/minio/a", "../s3/a", "/minions"],
    }
    assert restored(tmp_path, {"metadata": metadata})["metadata"] == {
        "blessed": 1.0,
        "current_model": "minio://bucket/model",
        "message": "compared with 's3://bucket/a', not with minio://bucket/b",
        "models": ["minio://bucket/a", {"other": '{"path": "s3://bucket/b"}'}],
        "pushed_destination": "/models/char_rnn/1",
        "others": ["/mnt/minio/a", "s3://b/minio/a", "../s3/a", "/minions"],
    }


def test_record_of_the_compared_models_names_them_by_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(invocation.COPIES, raising=False)
    (tmp_path / "evaluation").mkdir()
    record = tmp_path / "evaluation" / "eval_config.json"
    record.write_text('{"modelLocations": {"candidate": "/minio/bucket/model"}}')
    (tmp_path / "output.json").write_text("{}")
    done = given({"uri": str(tmp_path / "evaluation")}, "outputs", "evaluation")
    done["outputs"]["artifacts"]["log"] = {"artifacts": [{"uri": "gs://bucket/log"}]}
    done["outputs"]["outputFile"] = str(tmp_path / "output.json")
    invocation.restore(done)
    assert json.loads(record.read_text()) == {"modelLocations": {"candidate": "minio://bucket/model"}}


def test_directories_of_outputs_are_created(tmp_path: Path) -> None:
    changed = given({"uri": str(tmp_path / "deep" / "model")}, "outputs")
    invocation.make_outputs(changed)
    assert (tmp_path / "deep" / "model").is_dir()


@pytest.mark.parametrize("launcher", [True, False])
def test_launcher_finds_a_directory_for_each_output_in_a_bucket(
    launcher: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(invocation.COPIES, str(tmp_path))
    directory = tmp_path / "gcs" / "bucket" / "run" / "model"
    if launcher:  # which creates the parent; a pod without one may not be allowed to
        directory.parent.mkdir(parents=True)
    changed = given({"uri": "gs://bucket/run/model"}, "outputs")
    invocation.satisfy_launcher(changed)
    assert directory.is_dir() == launcher
    assert first(changed, "outputs")["uri"] == "gs://bucket/run/model", "TensorFlow still writes into the bucket"


def test_wrapped_lists_and_mappings_in_metadata_are_unwrapped() -> None:
    metadata = {"names": {"list": ["a", "b"]}, "map": {"struct": {"k": 1}}, "plain": "x", "own": {"list": "no list"}}
    changed = given({"uri": "gs://b/x", "metadata": metadata})
    invocation.adapt(changed, SPEC)
    assert first(changed)["metadata"] == {
        "names": ["a", "b"],
        "map": {"k": 1},
        "plain": "x",
        "own": {"list": "no list"},
    }


def test_log_of_the_launcher_is_removed_from_the_outputs() -> None:
    changed = given({"uri": "gs://b/log", "type": {"schemaTitle": "system.Artifact"}}, "outputs", "executor-logs")
    invocation.adapt(changed, SPEC)
    assert changed["outputs"]["artifacts"] == {}


def test_worker_that_is_not_the_chief_has_separate_outputs(tmp_path: Path) -> None:
    changed = given({"uri": "gs://b/model"}, "outputs")
    invocation.divert_outputs(changed, str(tmp_path))
    assert first(changed, "outputs")["uri"] == str(tmp_path / "model")
    assert (tmp_path / "model" / "Format-Serving").is_dir()
    assert changed["outputs"]["outputFile"].startswith(str(tmp_path))


@pytest.mark.integration
@pytest.mark.parametrize(
    ("kind", "error"),
    [({"instanceSchema": ""}, AttributeError), ({"schemaTitle": "title: tfx.Model\ntype: object\n"}, ImportError)],
)
def test_tfx_fails_without_these_conversions(kind: dict[str, str], error: type[Exception]) -> None:
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2
    from tfx.orchestration.kubeflow.v2.container.kubeflow_v2_entrypoint_utils import parse_raw_artifact_dict

    def parse(changed: dict[str, Any]) -> Any:
        message = json_format.ParseDict(changed, pipeline_spec_pb2.ExecutorInput())
        return parse_raw_artifact_dict(message.inputs.artifacts)["model"][0]

    metadata = {"names": {"list": ["a", "b"]}}
    changed = given({"name": "1", "uri": "minio://b/model", "type": kind, "metadata": metadata})
    with pytest.raises(error):
        parse(changed)
    invocation.adapt(changed, SPEC)
    parsed = parse(changed)
    assert parsed.type_name == "Model"
    assert parsed.get_json_value_custom_property("names") == ["a", "b"]
    assert parsed.uri == "/minio/b/model"
