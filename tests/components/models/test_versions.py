"""A version appears whole, under a number above all others, and a digest knows what is in it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.io import gfile

from components.models import versions

pytestmark = pytest.mark.integration


def model_at(path: Path, content: str = "graph") -> str:
    (path / "variables").mkdir(parents=True)
    (path / "saved_model.pb").write_text(content)
    (path / "variables" / "variables.index").write_text("index")
    (path / "assets.extra").mkdir()
    (path / "assets.extra" / "warm-up").write_text("requests")
    return str(path)


def tree(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


# publish


def test_a_version_is_a_whole_copy_of_the_model(tmp_path: Path) -> None:
    model = model_at(tmp_path / "model")
    assert versions.publish(model, str(tmp_path / "new" / "base")) == 1
    assert tree(tmp_path / "new" / "base" / "1") == tree(tmp_path / "model")
    assert [path.name for path in (tmp_path / "new" / "base").iterdir()] == ["1"]


@settings(max_examples=25)
@given(st.sets(st.integers(0, 10**12), max_size=4), st.integers(1, 50), st.integers(1, 3))
def test_every_new_number_is_above_all_that_are_there(
    tmp_path_factory: pytest.TempPathFactory, taken: set[int], at_least: int, count: int
) -> None:
    base = tmp_path_factory.mktemp("base")
    model = model_at(tmp_path_factory.mktemp("model") / "model")
    for number in taken:
        (base / str(number)).mkdir()  # even of versions that are not whole
    given = [versions.publish(model, str(base), at_least) for _ in range(count)]
    assert given == sorted(set(given))
    assert min(given) >= at_least
    assert min(given) > max(taken, default=0)
    assert versions.served(str(base)) == given


def test_other_names_beside_the_versions_do_not_matter_and_stay(tmp_path: Path) -> None:
    model = model_at(tmp_path / "model")
    base = tmp_path / "base"
    (base / "notes 9").mkdir(parents=True)
    (base / "models.config").write_text("text")
    assert versions.publish(model, str(base)) == 1
    assert sorted(path.name for path in base.iterdir()) == ["1", "models.config", "notes 9"]


def watched(monkeypatch: pytest.MonkeyPatch, look: Callable[[], None]) -> None:
    """Look at the directory before and after every file operation of `versions`."""
    for name in ("copy", "rename", "makedirs"):
        operation = getattr(gfile, name)

        def step(*arguments: Any, _operation: Callable[..., Any] = operation, **named: Any) -> None:
            look()
            _operation(*arguments, **named)
            look()

        monkeypatch.setattr(gfile, name, step)


def test_a_number_is_never_seen_without_all_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, base = model_at(tmp_path / "model"), tmp_path / "base"
    seen: list[bool] = []

    def look() -> None:
        numbers = [path for path in base.glob("*") if path.name.isdecimal()]
        assert all(tree(path) == tree(tmp_path / "model") for path in numbers)
        seen.append(bool(numbers))

    watched(monkeypatch, look)
    versions.publish(model, str(base))
    assert seen[0] is False
    assert seen[-1] is True
    assert len(seen) > 6


def test_a_push_that_fails_half_way_leaves_nothing_and_can_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, base = model_at(tmp_path / "model"), tmp_path / "base"
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


def test_leftovers_of_another_number_are_removed_too(tmp_path: Path) -> None:
    model, base = model_at(tmp_path / "model"), tmp_path / "base"
    model_at(base / ".incoming-7", "half")
    assert versions.publish(model, str(base)) == 1
    assert [path.name for path in base.iterdir()] == ["1"]


# copy


def test_the_file_that_stands_for_a_whole_model_is_copied_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_at(tmp_path / "model")
    (tmp_path / "model" / "zzz").write_text("last in the alphabet")
    copied: list[str] = []
    copy = gfile.copy

    def noted(source: str, target: str, overwrite: bool = False) -> None:
        copied.append(Path(target).name)
        copy(source, target, overwrite)

    monkeypatch.setattr(gfile, "copy", noted)
    versions.copy(model, str(tmp_path / "copy"))
    assert copied[-1] == "saved_model.pb"
    assert tree(tmp_path / "copy") == tree(tmp_path / "model")


# served


def test_only_whole_versions_are_served_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("2", "10", "9", ".incoming-11", "12x", "-1"):
        model_at(tmp_path / name)
    (tmp_path / "13").mkdir()
    (tmp_path / "14").write_text("a file")
    assert versions.served(str(tmp_path)) == [2, 9, 10]


def test_a_directory_that_is_not_there_serves_nothing(tmp_path: Path) -> None:
    assert versions.served(str(tmp_path / "missing")) == []


# digest


def test_equal_files_give_equal_digests_wherever_they_lie(tmp_path: Path) -> None:
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
def test_any_difference_in_names_or_contents_gives_another_digest(
    tmp_path: Path, edit: Callable[[Path], object]
) -> None:
    model = model_at(tmp_path / "model")
    before = versions.digest(model)
    edit(tmp_path / "model")
    assert versions.digest(model) != before


def test_names_that_tf_serving_takes_for_no_version_do_not_count(tmp_path: Path) -> None:
    for name in ("99999999999999999999", "\u0663", "4a"):
        model_at(tmp_path / "base" / name)
    assert versions.served(str(tmp_path / "base")) == []
    assert versions.newest_name(str(tmp_path / "base")) is None
    assert versions.publish(model_at(tmp_path / "model"), str(tmp_path / "base")) == 1
