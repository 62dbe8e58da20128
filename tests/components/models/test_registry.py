"""One JSON file for each version, written atomically; the newest other entry is found by digest and by run key."""

import dataclasses
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.models import registry
from components.models.registry import Entry

pytestmark = pytest.mark.integration

ENTRY = Entry(
    version=1,
    digest="digest 1",
    run_key="run 1",
    model="/pipeline/model/1",
    served="/serving/1",
    perplexity=4.5,
    bits_per_character=2.17,
    corpus="Dickens' \u201cexpectations\u201d",
    pushed_at="2026-01-02T03:04:05+00:00",
)


def entry(version: int, digest: str = "", run_key: str = "") -> Entry:
    return dataclasses.replace(
        ENTRY, version=version, digest=digest or f"digest {version}", run_key=run_key or f"run {version}"
    )


def test_missing_registry_has_no_entries(tmp_path: Path) -> None:
    assert registry.entries(str(tmp_path / "missing")) == []
    assert registry.newest_other(str(tmp_path / "missing"), digest="x") is None


def test_entry_is_read_as_recorded(tmp_path: Path) -> None:
    registry.record(str(tmp_path / "new"), ENTRY)
    assert registry.entries(str(tmp_path / "new")) == [ENTRY]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["1.json"]


@settings(max_examples=25)
@given(st.permutations([1, 2, 9, 10, 11, 100]))
def test_entries_are_ordered_by_version(tmp_path_factory: pytest.TempPathFactory, order: list[int]) -> None:
    directory = str(tmp_path_factory.mktemp("registry"))
    for version in order:
        registry.record(directory, entry(version))
    assert [found.version for found in registry.entries(directory)] == [1, 2, 9, 10, 11, 100]


def test_entry_of_a_version_is_replaced(tmp_path: Path) -> None:
    registry.record(str(tmp_path), ENTRY)
    registry.record(str(tmp_path), entry(1, digest="other"))
    assert registry.entries(str(tmp_path)) == [entry(1, digest="other")]


def test_entry_is_written_atomically(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.record(str(tmp_path), ENTRY)
    seen: list[list[Entry]] = []
    replace = os.replace

    def read_before(source: str, target: str) -> None:
        seen.append(registry.entries(str(tmp_path)))
        replace(source, target)

    monkeypatch.setattr(os, "replace", read_before)
    registry.record(str(tmp_path), entry(2))
    (tmp_path / ".3.partial").write_text('{"version": 3, "dig')  # of a killed process
    assert seen == [[ENTRY]]
    assert registry.entries(str(tmp_path)) == [ENTRY, entry(2)]


def recorded(tmp_path: Path, *entries: Entry, deleted: tuple[str, ...] = ()) -> str:
    """Record entries with their trained models and pushed copies, except those named in `deleted`."""
    for one in entries:
        paths = {kind: tmp_path / f"{kind}-{one.version}" for kind in ("model", "served")}
        for path in paths.values():
            path.mkdir()
            if path.name not in deleted:
                (path / "saved_model.pb").write_text("graph")
        registry.record(str(tmp_path / "registry"), dataclasses.replace(one, **{k: str(p) for k, p in paths.items()}))
    return str(tmp_path / "registry")


def test_newest_other_has_another_digest_and_run_key(tmp_path: Path) -> None:
    directory = recorded(tmp_path, entry(1), entry(2), entry(3, digest="digest 2"), entry(10, run_key="run 2"))
    newest = [
        registry.newest_other(directory),
        registry.newest_other(directory, digest="digest 10"),
        registry.newest_other(directory, run_key="run 2"),
        registry.newest_other(directory, digest="digest 2", run_key="run 2"),
    ]
    assert [found and found.version for found in newest] == [10, 3, 3, 1]


def test_no_other_entry(tmp_path: Path) -> None:
    directory = recorded(tmp_path, entry(1), entry(2, digest="digest 1"), entry(3, run_key="run 1"))
    assert registry.newest_other(directory, digest="digest 1", run_key="run 1") is None


def test_model_is_found_as_trained_or_as_pushed(tmp_path: Path) -> None:
    directory = recorded(tmp_path, entry(1), entry(2), entry(3), deleted=("model-2", "model-3", "served-3"))
    found = [one.found_at() for one in registry.entries(directory)]
    assert found == [str(tmp_path / "model-1"), str(tmp_path / "served-2"), None]


def test_entry_whose_model_is_deleted_is_skipped(tmp_path: Path) -> None:
    directory = recorded(tmp_path, entry(1), entry(2), deleted=("model-2", "served-2"))
    newest = registry.newest_other(directory)
    assert newest
    assert newest.version == 1
    assert registry.newest_other(directory, digest="digest 1") is None
