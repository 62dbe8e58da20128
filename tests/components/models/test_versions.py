"""Versions are listed by number, published complete, deleted by rename; a digest identifies their content."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.models import versions
from components.models.versions import LARGEST, is_version_number
from tests.bucket import Bucket


def model_at(path: Path, content: str = "graph") -> str:
    (path / "variables").mkdir(parents=True)
    (path / "saved_model.pb").write_text(content)
    (path / "variables" / "variables.index").write_text("index")
    (path / "assets.extra").mkdir()
    (path / "assets.extra" / "warm-up").write_text("requests")
    return str(path)


def tree(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


@given(st.integers(0, LARGEST), st.integers(0, 3))
def test_version_number_may_begin_with_zeros(number: int, zeros: int) -> None:
    assert is_version_number("0" * zeros + str(number))


@pytest.mark.parametrize(
    "name", ["", "-1", "+1", " 1", "1 ", "1_000", "1.0", "0x1", "4a", "²", "١", "v1", ".incoming-7", "models.config"]
)
def test_other_names_are_not_version_numbers(name: str) -> None:
    assert not is_version_number(name)


def test_version_number_has_64_bits() -> None:
    assert is_version_number("9223372036854775807")
    assert not is_version_number("9223372036854775808")
    assert not is_version_number("9" * 200)


def test_versions_are_listed_by_number(tmp_path: Path) -> None:
    for name in ("2", "10", "9", ".incoming-11", "12x", "-1", str(2**63), "\u0663"):
        model_at(tmp_path / name)
    (tmp_path / "13").mkdir()
    (tmp_path / "14").write_text("a file")
    assert versions.directories(str(tmp_path)) == {n: str(tmp_path / str(n)) for n in (2, 9, 10, 13)}
    assert versions.complete(str(tmp_path)) == [2, 9, 10]


def test_missing_directory_has_no_versions(tmp_path: Path) -> None:
    assert versions.directories(str(tmp_path / "missing")) == {}
    assert versions.complete(str(tmp_path / "missing")) == []


@pytest.mark.integration
def test_url_is_listed_with_tensorflow(tmp_path: Path) -> None:
    for name in ("2", "10", ".incoming-11"):
        model_at(tmp_path / name)
    (tmp_path / "13").mkdir()
    url = f"file://{tmp_path}"
    assert versions.directories(url) == {number: f"{url}/{number}" for number in (2, 10, 13)}
    assert versions.complete(url) == [2, 10]
    assert versions.directories(f"{url}/missing") == {}


def test_number_without_zeros_takes_precedence(tmp_path: Path) -> None:
    model_at(tmp_path / "0002")
    assert versions.directories(str(tmp_path)) == {2: str(tmp_path / "0002")}
    model_at(tmp_path / "2")
    assert versions.directories(str(tmp_path)) == {2: str(tmp_path / "2")}


def test_deleted_version_is_renamed_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model_at(tmp_path / "1")
    rmtree = shutil.rmtree

    def killed(path: Path) -> None:
        if Path(path).exists():
            raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        versions.delete(str(tmp_path), 1)
    assert versions.directories(str(tmp_path)) == {}
    monkeypatch.setattr(shutil, "rmtree", rmtree)
    versions.finish_deletions(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_deleting_a_link_keeps_its_target(tmp_path: Path) -> None:
    model_at(tmp_path / "elsewhere")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "1").symlink_to(tmp_path / "elsewhere")
    versions.delete(str(tmp_path / "base"), 1)
    assert list((tmp_path / "base").iterdir()) == []
    assert (tmp_path / "elsewhere" / "saved_model.pb").exists()


def test_error_of_one_deletion_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is simulated: tests may run as the superuser, who may delete everything."""
    for number in (1, 2):
        model_at(tmp_path / f".withdrawn-{number}")
    (tmp_path / ".withdrawn-3").symlink_to("nowhere")
    rmtree = shutil.rmtree

    def forbidden(path: Path) -> None:
        if path.name == ".withdrawn-1":
            raise PermissionError(13, "Permission denied", str(path))
        rmtree(path)

    monkeypatch.setattr(shutil, "rmtree", forbidden)
    (error,) = versions.finish_deletions(str(tmp_path))
    assert error.filename == f"{tmp_path}/.withdrawn-1"
    assert [path.name for path in tmp_path.iterdir()] == [".withdrawn-1"]


@pytest.mark.integration
def test_published_version_is_a_complete_copy(tmp_path: Path) -> None:
    model = model_at(tmp_path / "model")
    assert versions.publish(model, str(tmp_path / "new" / "base")) == 1
    assert tree(tmp_path / "new" / "base" / "1") == tree(tmp_path / "model")
    assert [path.name for path in (tmp_path / "new" / "base").iterdir()] == ["1"]


@pytest.mark.integration
@pytest.mark.parametrize("bucket", [False, True])
def test_version_has_a_card_with_its_number_and_the_digest_of_the_model(tmp_path: Path, bucket: bool) -> None:
    model, base = model_at(tmp_path / "model"), f"{'file://' if bucket else ''}{tmp_path}/base"
    number = versions.publish(model, base, 4, lambda version: {versions.CARD: f"card of {version}"})
    assert (tmp_path / "base" / "4" / versions.CARD).read_text() == "card of 4"
    assert number == 4
    assert versions.digest(f"{base}/4") == versions.digest(model)
    assert set(tree(tmp_path / "base" / "4")) == {*tree(tmp_path / "model"), versions.CARD}


@pytest.mark.integration
@settings(max_examples=25)
@given(st.sets(st.integers(0, 10**12), max_size=4), st.integers(1, 50), st.integers(1, 3))
def test_new_number_is_above_all_existing_ones(
    tmp_path_factory: pytest.TempPathFactory, taken: set[int], at_least: int, count: int
) -> None:
    base = tmp_path_factory.mktemp("base")
    model = model_at(tmp_path_factory.mktemp("model") / "model")
    for number in taken:
        (base / str(number)).mkdir()  # even of incomplete versions
    published = [versions.publish(model, str(base), at_least) for _ in range(count)]
    assert published == sorted(set(published))
    assert min(published) >= at_least
    assert min(published) > max(taken, default=0)
    assert versions.complete(str(base)) == published


@pytest.mark.integration
def test_other_files_beside_the_versions_stay(tmp_path: Path) -> None:
    model = model_at(tmp_path / "model")
    base = tmp_path / "base"
    (base / "notes 9").mkdir(parents=True)
    (base / "models.config").write_text("text")
    assert versions.publish(model, str(base)) == 1
    assert sorted(path.name for path in base.iterdir()) == ["1", "models.config", "notes 9"]


def watch(monkeypatch: pytest.MonkeyPatch, look: Callable[[], None]) -> None:
    """Call `look` before and after every file operation of `versions`."""
    from tensorflow.io import gfile

    for name in ("copy", "rename", "makedirs"):
        operation = getattr(gfile, name)

        def step(*arguments: Any, _operation: Callable[..., Any] = operation, **named: Any) -> None:
            look()
            _operation(*arguments, **named)
            look()

        monkeypatch.setattr(gfile, name, step)


@pytest.mark.integration
def test_version_number_appears_with_all_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, base = model_at(tmp_path / "model"), tmp_path / "base"
    seen: list[bool] = []

    def look() -> None:
        numbers = [path for path in base.glob("*") if path.name.isdecimal()]
        assert all(tree(path) == tree(tmp_path / "model") for path in numbers)
        seen.append(bool(numbers))

    watch(monkeypatch, look)
    versions.publish(model, str(base))
    assert seen[0] is False
    assert seen[-1] is True
    assert len(seen) > 6


@pytest.mark.integration
def test_failed_push_leaves_nothing_and_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, base = model_at(tmp_path / "model"), tmp_path / "base"
    from tensorflow.io import gfile

    copy = gfile.copy

    def full_after_one(source: str, target: str, overwrite: bool = False) -> None:
        if list(base.rglob("*.index")) or list(base.rglob("warm-up")):
            raise OSError("no space left on device")
        copy(source, target, overwrite)

    monkeypatch.setattr(gfile, "copy", full_after_one)
    with pytest.raises(OSError, match="no space"):
        versions.publish(model, str(base))
    assert list(base.iterdir()) == []
    monkeypatch.setattr(gfile, "copy", copy)
    assert versions.publish(model, str(base)) == 1
    assert [path.name for path in base.iterdir()] == ["1"]


@pytest.mark.integration
def test_remains_of_a_killed_push_are_removed(tmp_path: Path) -> None:
    model, base = model_at(tmp_path / "model"), tmp_path / "base"
    model_at(base / ".incoming-7", "partial")
    assert versions.publish(model, str(base)) == 1
    assert [path.name for path in base.iterdir()] == ["1"]


@pytest.mark.integration
def test_copy_is_complete_once_all_files_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_at(tmp_path / "model")
    (tmp_path / "model" / "zzz").write_text("last in the alphabet")
    seen: list[bool] = []

    def look() -> None:
        seen.append(versions.is_complete(str(tmp_path / "copy")))
        assert not seen[-1] or tree(tmp_path / "copy") == tree(tmp_path / "model")

    watch(monkeypatch, look)
    versions.copy(model, str(tmp_path / "copy"))
    look()
    assert seen == [False] * (len(seen) - 1) + [True]
    assert len(seen) > 8


@pytest.mark.integration
@pytest.mark.parametrize("target", ["{tmp_path}/copy", "gs://bucket/copy"])
def test_copy_of_a_model_that_is_deleted_meanwhile_is_not_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    from tensorflow import errors

    Bucket.install(monkeypatch)
    model, target = model_at(tmp_path / "model"), target.format(tmp_path=tmp_path)
    watch(monkeypatch, lambda: Path(model, "saved_model.pb").unlink(missing_ok=True))
    with pytest.raises((errors.NotFoundError, FileNotFoundError)):
        versions.copy(model, target)
    assert not versions.is_complete(target)


@pytest.mark.integration
@pytest.mark.parametrize("left", [(), ("export",), ("export.partial",), ("export", "export.partial")])
def test_model_is_written_in_place_of_what_was_left(tmp_path: Path, left: tuple[str, ...]) -> None:
    for name in left:
        (tmp_path / name / "variables").mkdir(parents=True)
        (tmp_path / name / "variables" / "old").write_text("of a process that was killed")
    with versions.writing(str(tmp_path / "export")) as place:
        shutil.copytree(model_at(tmp_path / "model"), place, dirs_exist_ok=True)
        assert not versions.is_complete(str(tmp_path / "export"))
    assert tree(tmp_path / "export") == tree(tmp_path / "model")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export", "model"]


@pytest.mark.integration
@pytest.mark.parametrize("base", ["{tmp_path}", "gs://bucket"])
def test_model_that_could_not_be_written_is_not_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    Bucket.install(monkeypatch)
    target = base.format(tmp_path=tmp_path) + "/export"

    def fail() -> None:
        with versions.writing(target) as place:
            Path(place, "saved_model.pb").write_text("graph")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not versions.is_complete(target)


@pytest.mark.integration
@pytest.mark.parametrize("how", ["writing", "publish"])
def test_files_are_on_disk_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    model = model_at(tmp_path / "model")
    synced: list[str] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    if how == "publish":
        versions.publish(model, str(tmp_path / "base"))
    else:
        with versions.writing(str(tmp_path / "base" / "export")) as place:
            shutil.copytree(model, place, dirs_exist_ok=True)
    (before,) = {path.split("/base/")[1].split("/")[0] for path in synced if "/base/" in path}
    assert before in (".incoming-1", "export.partial"), "the names before the rename"
    names = [os.path.relpath(path, tmp_path / "base" / before) for path in synced]
    assert {*tree(tmp_path / "model"), ".", "variables", "assets.extra"} <= set(names)
    assert synced[-1] == str(tmp_path / "base")


@pytest.mark.integration
def test_equal_files_have_equal_digests(tmp_path: Path) -> None:
    one, two = model_at(tmp_path / "one"), model_at(tmp_path / "deeper" / "two")
    assert versions.digest(one) == versions.digest(two) == versions.digest(one + "/")


@pytest.mark.parametrize(
    "edit",
    [
        lambda path: (path / "saved_model.pb").write_text("graph."),
        lambda path: (path / "variables" / "variables.index").write_text("xedni"),
        lambda path: (path / "assets.extra" / "warm-up").unlink(),
        lambda path: (path / "more").write_text(""),
        lambda path: (path / "assets.extra" / "warm-up").rename(path / "assets.extra" / "other"),
        lambda path: (path / "assets.extra" / "warm-up").rename(path / "warm-up"),
    ],
)
@pytest.mark.integration
def test_digest_depends_on_names_and_contents(tmp_path: Path, edit: Callable[[Path], object]) -> None:
    model = model_at(tmp_path / "model")
    before = versions.digest(model)
    edit(tmp_path / "model")
    assert versions.digest(model) != before
