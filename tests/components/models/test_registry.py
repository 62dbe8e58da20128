"""One JSON file for each version, written atomically; the newest other entry is found by digest and by run key."""

import dataclasses
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.models import registry, versions
from components.models.registry import Entry
from tests.bucket import Bucket

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
    assert registry.newest_other(str(tmp_path / "missing"), digest="x").entry is None


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


def model_at(path: Path, content: str) -> str:
    path.mkdir(exist_ok=True)
    (path / "saved_model.pb").write_text(content)
    return str(path)


def digest_of(tmp_path: Path, content: str) -> str:
    return versions.digest(model_at(tmp_path / "any", content))


def recorded(tmp_path: Path, *entries: Entry, deleted: tuple[str, ...] = ()) -> str:
    """Record entries with their trained models and pushed copies, except those named in `deleted`.

    The `digest` of each is the content of its model here, and becomes the digest of that model.
    """
    for one in entries:
        paths = {kind: model_at(tmp_path / f"{kind}-{one.version}", one.digest) for kind in ("model", "served")}
        for path in paths.values():
            if Path(path).name in deleted:
                Path(path, "saved_model.pb").unlink()
        known = dataclasses.replace(one, digest=digest_of(tmp_path, one.digest), **paths)
        registry.record(str(tmp_path / "registry"), known)
    return str(tmp_path / "registry")


def test_newest_other_has_another_digest_and_run_key(tmp_path: Path) -> None:
    directory = recorded(tmp_path, entry(1), entry(2), entry(3, digest="digest 2"), entry(10, run_key="run 2"))
    newest = [
        registry.newest_other(directory),
        registry.newest_other(directory, digest=digest_of(tmp_path, "digest 10")),
        registry.newest_other(directory, run_key="run 2"),
        registry.newest_other(directory, digest=digest_of(tmp_path, "digest 2"), run_key="run 2"),
    ]
    assert [found.entry and found.entry.version for found in newest] == [10, 3, 3, 1]
    assert [found.path for found in newest] == [str(tmp_path / f"model-{number}") for number in (10, 3, 3, 1)]
    assert {found.missing for found in newest} == {()}


def test_no_other_entry(tmp_path: Path) -> None:
    directory = recorded(tmp_path, entry(1), entry(2, digest="digest 1"), entry(3, run_key="run 1"))
    found = registry.newest_other(directory, digest=digest_of(tmp_path, "digest 1"), run_key="run 1")
    assert found == registry.Found(None, "", ())


def test_model_is_found_as_trained_or_as_pushed(tmp_path: Path) -> None:
    directory = recorded(tmp_path, entry(1), entry(2), entry(3), deleted=("model-2", "model-3", "served-3"))
    found = [one.found_at() for one in registry.entries(directory)]
    assert found == [str(tmp_path / "model-1"), str(tmp_path / "served-2"), None]


def test_another_model_at_the_recorded_path_is_not_the_entrys(tmp_path: Path) -> None:
    """For example, another root's version in a shared serving directory, after its number had been deleted."""
    directory = recorded(tmp_path, entry(1), deleted=("model-1",))
    model_at(tmp_path / "served-1", "another root's model")
    assert registry.newest_other(directory).entry is None


def test_model_that_no_longer_exists_is_reported_and_an_older_one_is_found(tmp_path: Path) -> None:
    directory = recorded(tmp_path, entry(1), entry(2), deleted=("model-2", "served-2"))
    found = registry.newest_other(directory)
    assert found.path == str(tmp_path / "model-1")
    assert found.warning == (
        f"the last blessed model, version 2, is neither at {tmp_path}/model-2 nor at {tmp_path}/served-2 any more: "
        "compared with version 1 instead"
    )
    alone = registry.newest_other(directory, digest=digest_of(tmp_path, "digest 1"))
    assert alone.entry is None
    assert alone.warning.endswith("any more: compared with no other model")


def test_missing_copy_of_the_model_that_is_found_is_not_reported(tmp_path: Path) -> None:
    directory = recorded(tmp_path, entry(1), entry(2, digest="digest 1"), deleted=("model-2", "served-2"))
    assert registry.newest_other(directory).warning == ""


# Entries that another version of this code wrote, or that a loss of power left incomplete

TEXT = json.dumps(dataclasses.asdict(ENTRY))
UNREADABLE = {
    "empty": "",
    "truncated": TEXT[:50],
    "zeros": "\0" * 50,
    "not an object": "[1]",
    "nested too deep": "[" * 100_000,
    "another type": TEXT.replace("4.5", '"4.5"'),
    "too large": TEXT.replace("4.5", "1" + "0" * 400),
    "binary": "\udcff",
}


def damaged(tmp_path: Path, content: str) -> str:
    registry.record(str(tmp_path), ENTRY)
    (tmp_path / "7.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    return str(tmp_path)


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_unreadable_entry_is_skipped_with_one_warning(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    directory = damaged(tmp_path, content)
    assert [registry.entries(directory) for _ in range(3)] == [[ENTRY]] * 3
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith(f"The registry entry {tmp_path}/7.json is ignored")
    assert "restore the file from a backup, or delete it" in message


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_version_of_an_unreadable_entry_still_counts(tmp_path: Path, content: str) -> None:
    assert registry.largest_version(damaged(tmp_path, content)) == 7


def test_unknown_field_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text(json.dumps({**dataclasses.asdict(ENTRY), "added_later": {"a": 1}}))
    assert registry.entries(str(tmp_path)) == [ENTRY]


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Entry)])
def test_missing_field_has_a_default(tmp_path: Path, name: str) -> None:
    (tmp_path / "1.json").write_text(json.dumps({k: v for k, v in dataclasses.asdict(ENTRY).items() if k != name}))
    (found,) = registry.entries(str(tmp_path))
    default = ENTRY.version if name == "version" else Entry.__dataclass_fields__[name].default
    assert found == dataclasses.replace(ENTRY, **{name: default})


def test_other_files_are_not_entries(tmp_path: Path) -> None:
    for name in ("notes.json", "1.txt", ".2.json", "3"):
        (tmp_path / name).write_text(TEXT)
    assert registry.entries(str(tmp_path)) == []
    assert registry.largest_version(str(tmp_path)) == 0


def test_entry_in_a_bucket_is_read_as_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket.install(monkeypatch)
    assert registry.entries("gs://bucket/registry") == []
    registry.record("gs://bucket/registry", ENTRY)
    bucket.objects["gs://bucket/registry/7.json"] = b""
    assert registry.entries("gs://bucket/registry") == [ENTRY]
    assert registry.largest_version("gs://bucket/registry") == 7


def test_entry_that_a_bucket_refuses_to_read_is_skipped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from tensorflow import errors
    from tensorflow.io import gfile

    Bucket.install(monkeypatch)
    registry.record("gs://bucket/registry", ENTRY)
    registry.record("gs://bucket/registry", dataclasses.replace(ENTRY, version=8))
    opened = gfile.GFile

    def refuse(path: str, mode: str = "r") -> object:
        if path.endswith("/8.json"):
            raise errors.PermissionDeniedError(None, None, "no access")
        return opened(path, mode)

    monkeypatch.setattr(gfile, "GFile", refuse)
    assert registry.entries("gs://bucket/registry") == [ENTRY]
    assert "no access" in caplog.text
