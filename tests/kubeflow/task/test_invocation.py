"""The gaps between open-source Kubeflow Pipelines and TFX, one by one."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.errors import UserError
from kubeflow.task import invocation
from pipeline.config.run import TrainingConfig

SPEC = {"artifacts": {"model": {"artifactType": {"instanceSchema": "title: tfx.Model\ntype: object\n"}}}}


def given(artifact: dict[str, Any], side: str = "inputs", name: str = "model") -> dict[str, Any]:
    return {"inputs": {}, "outputs": {}} | {side: {"artifacts": {name: {"artifacts": [artifact]}}}}


def first(changed: dict[str, Any], side: str = "inputs", name: str = "model") -> dict[str, Any]:
    artifact: dict[str, Any] = changed[side]["artifacts"][name]["artifacts"][0]
    return artifact


@pytest.mark.parametrize("kind", [{"instanceSchema": ""}, {}, None])
def test_a_lost_type_is_taken_from_the_task(kind: Any) -> None:
    changed = given({"uri": "gs://b/model", "type": kind})
    invocation.adapt(changed, SPEC)
    assert first(changed)["type"] == SPEC["artifacts"]["model"]["artifactType"]


def test_a_type_that_is_there_stays() -> None:
    changed = given({"uri": "gs://b/model", "type": {"instanceSchema": "title: tfx.Schema"}})
    invocation.adapt(changed, SPEC)
    assert first(changed)["type"] == {"instanceSchema": "title: tfx.Schema"}


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("minio://mlpipeline/v2/x", "minio/mlpipeline/v2/x"),
        ("s3://bucket/x", "s3/bucket/x"),
        ("gs://bucket/x", "gs://bucket/x"),
        ("/mnt/state/x", "/mnt/state/x"),
    ],
)
def test_what_tensorflow_cannot_open_is_read_and_written_as_the_local_copy(
    uri: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(invocation.COPIES, str(tmp_path))
    expected = path if "://" in path or path.startswith("/") else str(tmp_path / path)
    for side in ("inputs", "outputs"):
        changed = given({"uri": uri}, side)
        invocation.adapt(changed, SPEC)
        assert first(changed, side)["uri"] == expected
    assert invocation.remote(expected) == uri


def test_without_the_variable_copies_lie_where_the_launcher_puts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(invocation.COPIES, raising=False)
    assert invocation.local("minio://mlpipeline/x") == "/minio/mlpipeline/x"
    assert invocation.remote("/s3/bucket/x") == "s3://bucket/x"


def test_the_answer_names_the_bucket_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(invocation.COPIES, str(tmp_path))
    answer = tmp_path / "output.json"
    artifact = {"uri": str(tmp_path / "minio/bucket/model"), "metadata": {"blessed": 1.0}}
    answer.write_text(json.dumps({"artifacts": {"model": {"artifacts": [artifact]}}}))
    invocation.restore(str(answer))
    told = json.loads(answer.read_text())["artifacts"]["model"]["artifacts"][0]
    assert told == {"uri": "minio://bucket/model", "metadata": {"blessed": 1.0}}


def test_directories_of_outputs_are_made_as_an_object_store_keeps_none(tmp_path: Path) -> None:
    changed = given({"uri": str(tmp_path / "deep" / "model")}, "outputs")
    invocation.make_outputs(changed)
    assert (tmp_path / "deep" / "model").is_dir()


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


def test_the_log_that_the_launcher_adds_to_the_outputs_is_left_to_it() -> None:
    changed = given({"uri": "gs://b/log", "type": {"schemaTitle": "system.Artifact"}}, "outputs", "executor-logs")
    invocation.adapt(changed, SPEC)
    assert changed["outputs"]["artifacts"] == {}


def training(overrides: str) -> dict[str, Any]:
    custom = {"training": TrainingConfig().model_dump(), "seed": 1}
    values = {"training_overrides": overrides, "custom_config": json.dumps(custom)}
    return {"inputs": {"parameterValues": values}}


def custom(changed: dict[str, Any]) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(changed["inputs"]["parameterValues"]["custom_config"])
    return decoded


def test_training_values_of_a_run_replace_those_compiled_in() -> None:
    changed = training('{"steps": 7, "learning_rate": 0.5}')
    invocation.override_training(changed)
    assert custom(changed) == {
        "training": TrainingConfig(steps=7, learning_rate=0.5).model_dump(),
        "seed": 1,
    }
    assert "training_overrides" not in changed["inputs"]["parameterValues"]


def test_epochs_of_a_run_stand_in_for_the_steps_compiled_in() -> None:
    changed = training('{"epochs": 3}')
    invocation.override_training(changed)
    assert (custom(changed)["training"]["steps"], custom(changed)["training"]["epochs"]) == (None, 3)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ("steps=3", "Expecting value"),
        ("[1]", "no JSON object"),
        ('{"stepps": 3}', "stepps"),
        ('{"steps": 0}', "steps"),
        ('{"steps": null}', "exactly one"),
        ('{"strategy": "mirrored", "logical_cpus": 2}', "one's own"),
    ],
)
def test_bad_training_values_of_a_run_are_explained(overrides: str, reason: str) -> None:
    with pytest.raises(UserError, match=f"`training` cannot be used.*{reason}.*Received: training="):
        invocation.override_training(training(overrides))


def test_parameters_are_looked_at_before_they_are_sent() -> None:
    invocation.check_parameters({}, TrainingConfig())
    invocation.check_parameters({"corpus": "sample", "training": '{"epochs": 2}'}, TrainingConfig())
    with pytest.raises(UserError, match="`training` cannot be used.*stepps"):
        invocation.check_parameters({"training": '{"stepps": 3}'}, TrainingConfig())
    with pytest.raises(UserError, match="`corpus` names no text"):
        invocation.check_parameters({"corpus": " "}, TrainingConfig())


def test_a_worker_that_is_not_the_chief_writes_to_places_of_its_own(tmp_path: Path) -> None:
    changed = given({"uri": "gs://b/model"}, "outputs")
    invocation.divert_outputs(changed, str(tmp_path))
    assert first(changed, "outputs")["uri"] == str(tmp_path / "model")
    assert (tmp_path / "model" / "Format-Serving").is_dir()
    assert changed["outputs"]["outputFile"].startswith(str(tmp_path))


@pytest.mark.integration
def test_tfx_itself_fails_on_what_is_mended_here() -> None:
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2
    from tfx.orchestration.kubeflow.v2.container.kubeflow_v2_entrypoint_utils import parse_raw_artifact_dict

    def parse(changed: dict[str, Any]) -> Any:
        message = json_format.ParseDict(changed, pipeline_spec_pb2.ExecutorInput())
        return parse_raw_artifact_dict(message.inputs.artifacts)["model"][0]

    metadata = {"names": {"list": ["a", "b"]}}
    changed = given({"name": "1", "uri": "minio://b/model", "type": {"instanceSchema": ""}, "metadata": metadata})
    with pytest.raises(AttributeError):
        parse(changed)
    invocation.adapt(changed, SPEC)
    parsed = parse(changed)
    assert parsed.type_name == "Model"
    assert parsed.get_json_value_custom_property("names") == ["a", "b"]
    assert parsed.uri == "/minio/b/model"
