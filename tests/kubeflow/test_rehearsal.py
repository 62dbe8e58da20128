"""The whole pipeline from the file compiled for open-source Kubeflow Pipelines: every task a process of its own.

Each runs the container's very command, by that back end's rules. Pods, images, volumes and ML Metadata of a cluster
are not touched.
"""

from pathlib import Path

import pytest

from components import registry
from components.errors import UserError
from kubeflow import rehearsal
from tests.kubeflow.rehearsed import MORE_STEPS, TASKS, Place

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Two runs, one after the other; minutes."""
    made = Place("kfp", tmp_path_factory.mktemp("rehearsal"))
    made.run("first")
    made.run("changed", MORE_STEPS)
    return made


@pytest.mark.e2e
def test_the_first_run_ends_with_a_pushed_and_registered_model(place: Place) -> None:
    first = place.runs["first"]
    assert first.outcomes.keys() == TASKS
    assert first.versions == ["1"]
    assert first.metadata("Evaluator", "blessing")["blessed"] == 1
    assert first.metadata("LastBlessed", "baseline")["copied_from"] == ""
    assert "best eval loss" in first.outcomes["Trainer"].output
    (entry, *_) = registry.entries(str(place.path / "state" / "registry" / "char_rnn"))
    assert (entry.version, entry.corpus) == (1, "sample")


@pytest.mark.e2e
@pytest.mark.slow
def test_an_unchanged_corpus_is_read_again_and_nothing_is_trained_or_pushed(place: Place) -> None:
    place.run("unchanged", MORE_STEPS)
    unchanged = place.runs["unchanged"]
    assert unchanged.outcomes.keys() == TASKS
    assert "corpus sample: 1 documents" in unchanged.outcomes["CorpusExampleGen"].output
    assert "its export is used again" in unchanged.outcomes["Trainer"].output
    assert "best eval loss" not in unchanged.outcomes["Trainer"].output
    assert unchanged.metadata("Pusher", "pushed_model")["pushed"] == 0
    assert unchanged.versions == ["1", "2"]


@pytest.mark.e2e
def test_another_model_meets_the_last_blessed_one_and_is_pushed(place: Place) -> None:
    changed = place.runs["changed"]
    assert "best eval loss" in changed.outcomes["Trainer"].output
    # Artifacts of former runs are not in a pod's reach, so the copy that is served is the baseline.
    assert changed.metadata("LastBlessed", "baseline")["copied_from"]
    stored = Path(str(place.path / "bucket"), changed.outcomes["LastBlessed"].artifacts["baseline"]["uri"][15:])
    assert list(stored.rglob("saved_model.pb")), "the baseline went through the bucket"
    assert changed.versions == ["1", "2"]


@pytest.mark.e2e
def test_artifacts_lie_in_the_object_store(place: Place) -> None:
    for run in place.runs.values():
        assert run.uris()
        assert all(uri.startswith("minio://bucket/") for uri in run.uris())


SPEC = """
pipelineInfo: {name: small}
schemaVersion: 2.1.0
root:
  dag: {tasks: {A: {componentRef: {name: A}, taskInfo: {name: A}}}}
  inputDefinitions: {parameters: {corpus: {parameterType: STRING, defaultValue: sample, isOptional: true}}}
components: {A: {executorLabel: A_executor}}
deploymentSpec: {executors: {A_executor: {container: {image: i, command: [python], args: [%s]}}}}
"""


def test_a_task_that_fails_ends_the_rehearsal_with_what_it_said(tmp_path: Path) -> None:
    text = SPEC % """-c, "import sys; print('no luck'); sys.exit(3)" """
    with pytest.raises(UserError, match=r"(?s)task A ended with code 3.*no luck"):
        rehearsal.run(text, "kfp", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == []


def test_an_unknown_field_or_parameter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such parameter"):
        rehearsal.run(SPEC % "-V", "kfp", tmp_path, {"steps": "3"})
    with pytest.raises(Exception, match="unknown"):
        rehearsal.run((SPEC % "-V") + "unknown: 1\n", "kfp", tmp_path)


def test_an_object_store_keeps_files_and_no_empty_directories(tmp_path: Path) -> None:
    (tmp_path / "a" / "empty").mkdir(parents=True)
    (tmp_path / "a" / "full").mkdir()
    (tmp_path / "a" / "full" / "file").write_text("x")
    rehearsal._copy_files(tmp_path / "a", tmp_path / "b")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted((tmp_path / "b").rglob("*"))] == [
        "b/full",
        "b/full/file",
    ]


def test_metadata_comes_back_as_ml_metadata_gives_it() -> None:
    values = [True, ["a"], {"k": 1}, "x", 2.0]
    assert [rehearsal._wrapped(value) for value in values] == [1, {"list": ["a"]}, {"struct": {"k": 1}}, "x", 2.0]
