"""`prune` deletes directories, and a full disk cannot keep it from it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.__main__ import main
from serving.tf_serving import model_config
from serving.tf_serving.model_config import All, ServedModel, Specific


@pytest.fixture
def base(root: Path, push: Callable[..., Path]) -> Path:
    for version in (1, 2, 3, 4, 10):
        push(version)
    return root / "serving" / "char_rnn"


def run(base: Path, keep: int) -> int:
    return main(["prune", "--keep", str(keep), "--root", str(base.parents[1])])


def names(base: Path) -> list[str]:
    return sorted(path.name for path in base.iterdir())


def test_the_oldest_go(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(base, 2) == 0
    assert capsys.readouterr().out == "deleted: 1, 2, 3; left: 4, 10\n"
    assert names(base) == ["10", "4"]
    assert run(base, 2) == 0
    assert capsys.readouterr().out == "deleted: nothing; left: 4, 10\n"


def test_what_has_a_label_stays(base: Path) -> None:
    path = model_config.path_in(str(base.parent))
    entry = ServedModel("char_rnn", str(base), All(), {"stable": 4, "canary": 2})
    model_config.update(path, "char_rnn", lambda _: entry)
    assert run(base, 1) == 0
    assert names(base) == ["10", "2", "4"]
    assert model_config.read(path) == [entry]


def test_a_number_leaves_the_file_before_its_directory_goes(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = model_config.path_in(str(base.parent))
    entry = ServedModel("char_rnn", str(base), Specific((1, 2, 3)), {"stable": 3})
    model_config.update(path, "char_rnn", lambda _: entry)
    rename, policies = Path.rename, []

    def noted(self: Path, target: Path) -> Path:
        policies.append(model_config.read(path)[0].policy)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", noted)
    assert run(base, 1) == 0
    assert policies == [Specific((3,))] * 2
    assert names(base) == ["10", "3", "4"]


def test_on_a_full_disk_room_can_be_made(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is not really full: every attempt to write a file whole fails."""
    (base / ".withdrawn-0").mkdir()

    def full(path: str, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_config, "write_whole", full)
    assert run(base, 1) == 0
    assert names(base) == ["10"]


@pytest.mark.parametrize("keep", [0, -1])
def test_something_is_always_kept(base: Path, keep: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(base, keep) == 2
    assert f"Received: --keep {keep}" in capsys.readouterr().err
    assert len(names(base)) == 5


def test_what_cannot_be_deleted_is_named_and_keeps_nothing_else(
    base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is forbidden really: deleting version 2 raises the error of a directory of another user."""
    rmtree = shutil.rmtree

    def foreign(path: Path) -> None:
        if path.name == ".withdrawn-2":
            raise PermissionError(13, "Permission denied", str(path / "variables"))
        rmtree(path)

    monkeypatch.setattr(shutil, "rmtree", foreign)
    for keep, deleted, left in ((2, "1, 2, 3", "4, 10"), (1, "4", "10")):
        assert run(base, keep) == 2
        said = capsys.readouterr()
        assert said.out == f"deleted: {deleted}; left: {left}\n"
        assert said.err.endswith(f"Received: {base}/.withdrawn-2/variables: Permission denied\n")
        assert "models.config" not in said.err
    monkeypatch.setattr(shutil, "rmtree", rmtree)
    assert run(base, 1) == 0
    assert names(base) == ["10"]


def test_nothing_of_a_copy_is_deleted_while_the_original_is_served(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = model_config.path_in(str(base.parent))
    model_config.update(path, "char_rnn", lambda _: ServedModel("char_rnn", str(tmp_path), All(), {"stable": 10}))
    assert run(base, 1) == 2
    assert f"Received: versions in {base}\n" in capsys.readouterr().err
    assert len(names(base)) == 5
