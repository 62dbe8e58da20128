"""The whole pipeline from the file compiled for open-source Kubeflow Pipelines: every task a process of its own.

Each runs the container's very command, by that back end's rules. Pods, images, volumes and ML Metadata of a cluster
are not touched.
"""

from pathlib import Path

import pytest

from components.models import registry
from tests.kubeflow.rehearsed import MORE_STEPS, TASKS, Place

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Two runs, one after the other; minutes."""
    made = Place("kfp", tmp_path_factory.mktemp("rehearsal"))
    made.run("first")
    made.run("changed", MORE_STEPS)
    return made


def test_the_first_run_ends_with_a_pushed_and_registered_model(place: Place) -> None:
    first = place.runs["first"]
    assert first.outcomes.keys() == TASKS
    assert first.versions == ["1"]
    assert first.metadata("Evaluator", "blessing")["blessed"] == 1
    assert first.metadata("LastBlessed", "baseline")["copied_from"] == ""
    assert "best eval loss" in first.outcomes["Trainer"].output
    (entry, *_) = registry.entries(str(place.path / "state" / "registry" / "char_rnn"))
    assert (entry.version, entry.corpus) == (1, "sample")


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


def test_another_model_meets_the_last_blessed_one_and_is_pushed(place: Place) -> None:
    changed = place.runs["changed"]
    assert "best eval loss" in changed.outcomes["Trainer"].output
    # Artifacts of former runs are not in a pod's reach, so the copy that is served is the baseline.
    assert changed.metadata("LastBlessed", "baseline")["copied_from"]
    stored = Path(str(place.path / "bucket"), changed.outcomes["LastBlessed"].artifacts["baseline"]["uri"][15:])
    assert list(stored.rglob("saved_model.pb")), "the baseline went through the bucket"
    assert changed.versions == ["1", "2"]


def test_artifacts_lie_in_the_object_store(place: Place) -> None:
    for run in place.runs.values():
        assert run.uris()
        assert all(uri.startswith("minio://bucket/") for uri in run.uris())
