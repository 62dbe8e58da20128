"""Versions are listed with what the registry, `models.config` and the server know about them."""

import doctest
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from components.errors import UserError
from components.models import versions
from pipeline.config.run import Config
from serving.client.status import VersionStatus
from serving.rollout import inventory
from serving.rollout.inventory import ModelPaths
from serving.tf_serving.model_config import ServedModel, Specific


@pytest.fixture
def paths(root: Path) -> ModelPaths:
    return ModelPaths.of(Config(root=str(root)))


def test_paths_are_those_of_the_pipeline(root: Path, paths: ModelPaths) -> None:
    assert paths == ModelPaths("char_rnn", str(root), str(root / "serving/char_rnn"), str(root / "registry/char_rnn"))
    assert paths.config_path == str(root / "serving" / "models.config")


def test_bucket_is_a_user_error() -> None:
    with pytest.raises(UserError, match="Received: --serving-dir gs://bucket"):
        ModelPaths.of(Config(serving_dir="gs://bucket"))


def test_complete_versions_are_required(push: Callable[..., Path], paths: ModelPaths) -> None:
    with pytest.raises(UserError, match=r"local_runner\.py.*Received: .*serving/char_rnn"):
        inventory.require_versions(paths)
    for version in (10, 9, 2):
        push(version)
    (Path(paths.base) / "11").mkdir()
    assert inventory.require_versions(paths) == [2, 9, 10]


def test_version_is_listed_with_labels_size_and_registry_values(
    push: Callable[..., Path], root: Path, paths: ModelPaths
) -> None:
    for version in (1, 2, 3):
        push(version, perplexity=4.0 + version)
    shutil.rmtree(root / "registry" / "char_rnn")
    push(4, perplexity=9.0)
    (Path(paths.base) / "5").mkdir()
    model = ServedModel("char_rnn", paths.base, Specific((1, 3)), {"stable": 3, "canary": 3})
    listed = {version.number: version for version in inventory.listed(paths, model)}
    assert [(one.number, one.complete, one.served, one.default) for one in listed.values()] == [
        (1, True, True, False),
        (2, True, False, False),
        (3, True, True, True),
        (4, True, False, False),
        (5, False, False, False),
    ]
    assert listed[3].labels == ("canary", "stable")
    assert listed[3].bytes == len("graph") + len("index")
    assert listed[3].perplexity is None
    known = listed[4]
    assert (known.perplexity, known.bits_per_character) == (9.0, 2.17)
    assert (known.corpus, known.pushed_at) == ("/texts/play.txt", "2026-01-02T03:04:05+00:00")


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_broken_registry_entry_counts_as_missing(
    push: Callable[..., Path], root: Path, paths: ModelPaths, content: str
) -> None:
    push(1)
    (root / "registry" / "char_rnn" / "1.json").write_text(content)
    assert [one.perplexity for one in inventory.listed(paths, None)] == [None]


def test_registry_that_cannot_be_listed_counts_as_empty(
    push: Callable[..., Path], root: Path, paths: ModelPaths, caplog: pytest.LogCaptureFixture
) -> None:
    push(1)
    registry = root / "registry" / "char_rnn"
    shutil.rmtree(registry)
    registry.symlink_to(registry)  # also for root, for whom every permission is granted
    assert [one.perplexity for one in inventory.listed(paths, None)] == [None]
    assert f"The registry {registry} cannot be read" in caplog.text


@pytest.mark.parametrize(("digest", "known"), [("of another model", False), (None, True)])
def test_entry_counts_only_for_the_model_that_it_is_about(
    push: Callable[..., Path], root: Path, paths: ModelPaths, digest: str | None, known: bool
) -> None:
    """Another root may have pushed under the number of a version that was deleted."""
    path = push(1, perplexity=9.0)
    entry = root / "registry" / "char_rnn" / "1.json"
    content = json.loads(entry.read_text()) | {"digest": digest or versions.digest(str(path))}
    entry.write_text(json.dumps(content))
    assert [one.perplexity for one in inventory.listed(paths, None)] == [9.0 if known else None]


def test_default_is_the_newest_version_that_the_server_has_loaded(push: Callable[..., Path], paths: ModelPaths) -> None:
    for version in (1, 2, 3):
        push(version)
    states = {1: VersionStatus(1, "AVAILABLE"), 2: VersionStatus(2, "END", error_message="no graph")}
    listed = inventory.listed(paths, None, states)
    assert [(one.number, one.served, one.default, one.state, one.error) for one in listed] == [
        (1, True, True, "AVAILABLE", ""),
        (2, True, False, "END", "no graph"),
        (3, True, False, "not loaded", ""),
    ]


def test_example() -> None:
    result = doctest.testmod(inventory)
    assert result.failed == 0 < result.attempted
