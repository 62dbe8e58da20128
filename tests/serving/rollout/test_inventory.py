"""What lies on disk is listed with what the registry knows, and leaves by rename."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from components.errors import UserError
from pipeline.config.run import Config
from serving.client.status import VersionStatus
from serving.rollout import inventory
from serving.rollout.inventory import Shelf
from serving.tf_serving.model_config import ServedModel, Specific


@pytest.fixture
def shelf(root: Path) -> Shelf:
    return Shelf.of(Config(root=str(root)))


def test_places_are_those_of_the_pipeline(root: Path, shelf: Shelf) -> None:
    assert shelf == Shelf("char_rnn", str(root), str(root / "serving/char_rnn"), str(root / "registry/char_rnn"))
    assert shelf.config_path == str(root / "serving" / "models.config")


def test_a_bucket_is_refused() -> None:
    with pytest.raises(UserError, match="Received: --serving-dir gs://bucket"):
        Shelf.of(Config(serving_dir="gs://bucket"))


def test_versions_are_numbers_and_whole_ones_hold_a_model(push: Callable[..., Path], shelf: Shelf) -> None:
    for version in (10, 9, 2):
        push(version)
    base = Path(shelf.base)
    for name in ("11", ".incoming-12", "notes"):
        (base / name).mkdir()
    (base / "13").write_text("a file")
    assert list(inventory.directories(shelf.base)) == [2, 9, 10, 11]
    assert inventory.whole_versions(shelf.base) == [2, 9, 10]
    assert inventory.require_versions(shelf) == [2, 9, 10]


def test_where_nothing_was_pushed_the_message_says_what_to_do(shelf: Shelf) -> None:
    assert inventory.whole_versions(shelf.base) == []
    with pytest.raises(UserError, match=r"local_runner\.py.*Received: .*serving/char_rnn"):
        inventory.require_versions(shelf)


def test_a_version_is_listed_with_all_that_is_known(push: Callable[..., Path], root: Path, shelf: Shelf) -> None:
    for version in (1, 2, 3):
        push(version, perplexity=4.0 + version)
    shutil.rmtree(root / "registry" / "char_rnn")
    push(4, perplexity=9.0)
    (Path(shelf.base) / "5").mkdir()
    model = ServedModel("char_rnn", shelf.base, Specific((1, 3)), {"stable": 3, "canary": 3})
    listed = {version.number: version for version in inventory.versions(shelf, model)}
    assert [(one.number, one.whole, one.served, one.default) for one in listed.values()] == [
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
def test_a_broken_registry_entry_is_as_good_as_none(
    push: Callable[..., Path], root: Path, shelf: Shelf, content: str
) -> None:
    push(1)
    (root / "registry" / "char_rnn" / "1.json").write_text(content)
    assert [one.perplexity for one in inventory.versions(shelf, None)] == [None]


def test_a_version_loses_its_number_before_it_loses_a_file(
    push: Callable[..., Path], shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(1)
    rmtree = shutil.rmtree

    def killed(path: Path) -> None:
        if Path(path).exists():
            raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        inventory.delete(shelf.base, 1)
    assert inventory.directories(shelf.base) == {}
    monkeypatch.setattr(shutil, "rmtree", rmtree)
    inventory.remove_leftovers(shelf.base)
    assert list(Path(shelf.base).iterdir()) == []


def test_what_tf_serving_takes_for_no_number_is_no_version(push: Callable[..., Path], shelf: Shelf) -> None:
    push(2**63 - 1)
    for name in (str(2**63), "9" * 30, "\u0663", "-1"):
        push(1).rename(Path(shelf.base) / name)
    assert inventory.whole_versions(shelf.base) == [2**63 - 1]


def test_numbers_may_begin_with_zeros(push: Callable[..., Path], shelf: Shelf) -> None:
    push(2).rename(Path(shelf.base) / "0002")
    assert inventory.directories(shelf.base) == {2: Path(shelf.base) / "0002"}
    push(2)
    assert inventory.directories(shelf.base) == {2: Path(shelf.base) / "2"}


def test_of_a_link_only_the_link_is_deleted(push: Callable[..., Path], shelf: Shelf, tmp_path: Path) -> None:
    push(1).rename(tmp_path / "elsewhere")
    (Path(shelf.base) / "1").symlink_to(tmp_path / "elsewhere")
    inventory.delete(shelf.base, 1)
    assert list(Path(shelf.base).iterdir()) == []
    assert (tmp_path / "elsewhere" / "saved_model.pb").exists()


def test_a_leftover_that_cannot_be_deleted_does_not_keep_the_others(
    push: Callable[..., Path], shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is forbidden really: deleting the first one raises the error of a directory of another user."""
    for version in (1, 2):
        push(version).rename(Path(shelf.base) / f".withdrawn-{version}")
    (Path(shelf.base) / ".withdrawn-3").symlink_to("nowhere")
    rmtree = shutil.rmtree

    def foreign(path: Path) -> None:
        if path.name == ".withdrawn-1":
            raise PermissionError(13, "Permission denied", str(path))
        rmtree(path)

    monkeypatch.setattr(shutil, "rmtree", foreign)
    (failure,) = inventory.remove_leftovers(shelf.base)
    assert failure.filename == f"{shelf.base}/.withdrawn-1"
    assert [path.name for path in Path(shelf.base).iterdir()] == [".withdrawn-1"]


def test_the_default_is_what_the_server_has_loaded(push: Callable[..., Path], shelf: Shelf) -> None:
    for version in (1, 2, 3):
        push(version)
    states = {1: VersionStatus(1, "AVAILABLE"), 2: VersionStatus(2, "END", error_message="no graph")}
    listed = inventory.versions(shelf, None, states)
    assert [(one.number, one.served, one.default, one.state, one.error) for one in listed] == [
        (1, True, True, "AVAILABLE", ""),
        (2, True, False, "END", "no graph"),
        (3, True, False, "not loaded", ""),
    ]
