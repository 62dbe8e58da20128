"""A process that publishes to a bucket dies after each single object; the next one ends as if none had died."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tensorflow as tf

from components.evaluate.evaluation import Figures
from components.models import original, registry, versions
from components.release.pusher import Data, push
from serving.graph import generation_config, signatures, warmup
from tests.bucket import Bucket
from trainer import export, fitting, hardware, run
from trainer.data import trigram

pytestmark = pytest.mark.integration

SERVING, REGISTRY = "gs://bucket/serving/mine", "gs://bucket/registry/mine"
CHECKPOINTS, ARTIFACT = "gs://bucket/checkpoints", "gs://bucket/artifact/Format-Serving"
PARAMETERS = {
    "sources": "",
    "export_sources": "",
    "seed": 1,
    "model_name": "mine",
    "checkpoints": CHECKPOINTS,
    "registry": REGISTRY,
    "model": {},
    "training": {"measured_chars": 0},
    "export": {},
}


@pytest.fixture(params=[False, True], ids=["without placeholders", "with placeholders"])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    return Bucket.install(monkeypatch, placeholders=request.param)


def write_model(directory: str, name: str) -> str:
    """Write files of a model; one of them has a name that no other model has."""
    for place in ("saved_model.pb", "fingerprint.pb", "variables/variables.index", f"variables/data-{name}"):
        path = Path(directory, place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return directory


def is_unmixed(tree: dict[str, bytes]) -> bool:
    """Whether these are all files of one model."""
    (name,) = {content.decode() for place, content in tree.items() if not place.startswith("assets.extra/")}
    own = {"saved_model.pb", "fingerprint.pb", "variables/variables.index", f"variables/data-{name}"}
    return {place for place in tree if not place.startswith("assets.extra/")} == own


@pytest.mark.parametrize("first", ["first", None])
def test_copy_that_replaces_another_model(bucket: Bucket, tmp_path: Path, first: str | None) -> None:
    """Such as the baseline of the Evaluator."""
    target, second = "gs://bucket/copy", write_model(str(tmp_path / "second"), "second")
    if first:
        versions.copy(write_model(str(tmp_path / first), first), target)
    for _ in bucket.killed_in(lambda: versions.copy(second, target)):
        assert not versions.is_complete(target) or is_unmixed(bucket.tree(target))
        versions.copy(second, target)
        assert versions.holds(target, versions.digest(second))


# The Trainer


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """`run_fn`, whose every training results in another model, as if rounding differed each time."""
    attempts = itertools.count(1)
    text = SimpleNamespace(data_digest="data", vocabulary=SimpleNamespace(size=3), train=None, evaluation=None)
    text.vocabulary.out_of_vocabulary = text.vocabulary.unknown_characters = 1
    exported = SimpleNamespace(state_size=1, limits=generation_config.Limits(1, 1.0, 1, 1, 1))
    for module, name, result in [
        (hardware, "choose", SimpleNamespace(strategy=tf.distribute.get_strategy())),
        (fitting, "load", text),
        (fitting, "fit", SimpleNamespace(model=None)),
        (trigram, "cross_entropy", 2.5),
        (export, "one_step", exported),
        (warmup, "write", None),
    ]:
        monkeypatch.setattr(module, name, lambda *_, result=result: result)
    monkeypatch.setattr(signatures, "save", lambda _, place: write_model(place, f"attempt {next(attempts)}"))
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setattr(run, "_copy_logs", lambda *_: None)
    arguments: Any = SimpleNamespace(
        custom_config=PARAMETERS, hyperparameters=None, serving_model_dir=ARTIFACT, model_run_dir=""
    )
    return lambda: run.run_fn(arguments)


def exports(bucket: Bucket) -> list[str]:
    """Return the directories of the export and of its copy in the artifact, as far as they exist."""
    found = {match[0] for url in bucket.objects if (match := re.match(f"{CHECKPOINTS}/[^/]+/export-[^/]+", url))}
    assert len(found) < 2
    return [directory for directory in (*found, ARTIFACT) if bucket.tree(directory)]


def test_export_is_unused_or_complete(bucket: Bucket, train: Callable[[], None]) -> None:
    for _ in bucket.killed_in(train):
        assert_complete_or_unmarked(bucket)
        train()
        assert_finished(bucket)


def test_export_after_two_deaths(monkeypatch: pytest.MonkeyPatch, train: Callable[[], None]) -> None:
    """A second process dies while it replaces what the first one left."""
    bucket = Bucket.install(monkeypatch)
    for _ in bucket.killed_in(train):
        for _ in bucket.killed_in(train):
            assert_complete_or_unmarked(bucket)
            train()
            assert_finished(bucket)


def assert_complete_or_unmarked(bucket: Bucket) -> None:
    for directory in exports(bucket):
        assert not versions.is_complete(directory) or is_unmixed(bucket.tree(directory))


def assert_finished(bucket: Bucket) -> None:
    export_, artifact = exports(bucket)
    assert is_unmixed(bucket.tree(export_))
    assert bucket.tree(export_) == bucket.tree(artifact)
    assert len(bucket.tree(export_)) == 7, "four files of the model and three next to it"
    assert original.of(ARTIFACT, versions.digest(export_)) == export_


# The Pusher


def pushed(model: str) -> tuple[int, bool]:
    return push(model, Figures(4.5, 2.17, 9.0, 500, 0.0, None), SERVING, REGISTRY, "run", Data("a play"))


def test_push_is_finished_by_the_next_run(bucket: Bucket, tmp_path: Path) -> None:
    first, second = (write_model(str(tmp_path / name), name) for name in ("first", "second"))
    pushed(first)
    for _ in bucket.killed_in(lambda: pushed(second)):
        for number in versions.complete(SERVING):
            assert is_unmixed(bucket.tree(f"{SERVING}/{number}"))
        was_complete = 2 in versions.complete(SERVING)
        version, new = pushed(second)
        assert new is not was_complete
        assert versions.complete(SERVING) == list(versions.directories(SERVING)) == [1, version], "one version each"
        assert versions.holds(f"{SERVING}/{version}", versions.digest(second))
        assert version == 2 or not was_complete
        assert [(entry.version, entry.digest) for entry in registry.entries(REGISTRY)] == [
            (1, versions.digest(first)),
            (version, versions.digest(second)),
        ]
        assert pushed(second) == (version, False)


def test_served_model_is_not_pushed_again_after_a_push_of_another_one_died(bucket: Bucket, tmp_path: Path) -> None:
    first, second = (write_model(str(tmp_path / name), name) for name in ("first", "second"))
    pushed(first)
    for _ in bucket.killed_in(lambda: pushed(second)):
        if 2 not in versions.complete(SERVING):
            assert pushed(first) == (1, False)
            assert list(versions.directories(SERVING)) == [1], "what the other one left is deleted"


# The registry


def test_entry_is_as_before_or_new(bucket: Bucket) -> None:
    before, after = registry.Entry(1, "before"), registry.Entry(1, "after")
    registry.record(REGISTRY, before)
    for _ in bucket.killed_in(lambda: registry.record(REGISTRY, after)):
        assert registry.entries(REGISTRY) == [before]
        registry.record(REGISTRY, after)
        assert registry.entries(REGISTRY) == [after]
        assert list(bucket.tree(REGISTRY)) == ["1.json"]
