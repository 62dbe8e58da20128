"""The component of bulk jobs runs the command and keeps what it wrote down about the job."""

import argparse
import json
from pathlib import Path

import pytest
from tfx.types.standard_artifacts import InferenceResult

from pipeline.bulk import BulkInference, create_pipeline
from pipeline.config.places import Places
from pipeline.config.run import Config
from serving.bulk.shards import Directory
from serving.commands import bulk

pytestmark = pytest.mark.integration
MODEL = '["--model", "tiny", "--serving-dir", "/models"]'
MANIFEST = {"model": "tiny version 3", "task": "generate", "lines": 9, "failed": [2, 5]}


@pytest.fixture
def result(tmp_path: Path) -> InferenceResult:
    artifact = InferenceResult()
    artifact.uri = str(tmp_path / "result")
    (tmp_path / "result").mkdir()
    return artifact


def test_artifact_has_the_manifest_of_the_job(
    tmp_path: Path, result: InferenceResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[argparse.Namespace] = []

    def run(arguments: argparse.Namespace) -> int:
        seen.append(arguments)
        directory = Directory(arguments.output)
        with directory.locked():
            directory.write_manifest(MANIFEST)
        return 0

    monkeypatch.setattr(bulk, "run", run)
    output = str(tmp_path / "texts.jsonl")
    BulkInference.test_call(
        inference_result=result, input="in.jsonl", output=output, options="--stop 'a b' --seed 4", model=MODEL
    )
    (given,) = seen
    assert (given.input, given.output, given.model, given.serving_dir) == ("in.jsonl", output, "tiny", "/models")
    assert (given.stop, given.seed) == ("a b", 4)
    assert json.loads(Path(result.uri, "manifest.json").read_text()) == MANIFEST
    assert result.get_string_custom_property("output") == output
    assert (result.get_int_custom_property("lines"), result.get_int_custom_property("errors")) == (9, 2)


def test_failed_job_fails_the_task(result: InferenceResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "run", lambda _: 1)
    with pytest.raises(RuntimeError, match="The bulk job failed; the log has the reason. Received: bulk in.jsonl -"):
        BulkInference.test_call(inference_result=result, input="in.jsonl", output="o", options="", model=MODEL)


def test_job_uses_the_configured_model_and_runner() -> None:
    config = Config(root="/state", serving_dir="/models", model_name="tiny", beam_args=("--runner=SparkRunner",))
    (job,) = create_pipeline(config, Places(config)).components
    assert json.loads(job.exec_properties["model"]) == [
        *("--model", "tiny", "--root", "/state", "--serving-dir", "/models"),
        *("--set", 'beam_args=["--runner=SparkRunner"]'),
    ]
    assert job.exec_properties["input"] == "/state/bulk/prompts.jsonl"
