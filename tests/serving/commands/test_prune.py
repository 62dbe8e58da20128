"""`prune` deletes directories, even if the disk is full."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from components import files
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


def write(base: Path, entry: ServedModel) -> str:
    """Write an entry that servers have read long ago; return the path of the file."""
    path = model_config.path_in(str(base.parent))
    model_config.update(path, entry.name, lambda _: entry)
    os.utime(path, (0, 0))
    return path


def names(base: Path) -> list[str]:
    return sorted(path.name for path in base.iterdir())


def test_oldest_versions_are_deleted(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(base, 2) == 0
    assert capsys.readouterr().out == "deleted: 1, 2, 3; left: 4, 10\n"
    assert names(base) == ["10", "4"]
    assert run(base, 2) == 0
    assert capsys.readouterr().out == "deleted: nothing; left: 4, 10\n"


def test_labeled_versions_stay(base: Path) -> None:
    entry = ServedModel("char_rnn", str(base), All(), {"stable": 4, "canary": 2})
    path = write(base, entry)
    assert run(base, 1) == 0
    assert names(base) == ["10", "2", "4"]
    assert model_config.read(path) == [entry]


def test_policy_drops_a_version_before_its_directory_is_renamed(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(base, ServedModel("char_rnn", str(base), Specific((1, 2, 3)), {"stable": 3}))
    rename, policies = Path.rename, []

    def recorded(self: Path, target: Path) -> Path:
        policies.append(model_config.read(path)[0].policy)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", recorded)
    assert run(base, 1) == 0
    assert policies == [Specific((3,))] * 2
    assert names(base) == ["10", "3", "4"]


def test_nothing_is_deleted_before_servers_have_read_new_labels(
    base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Until then they answer `stable` with 4. Another promotion during the wait starts another one."""
    path = write(base, ServedModel("char_rnn", str(base), All(), {"stable": 10}))
    os.utime(path)
    another = ServedModel("char_rnn", str(base), All(), {"stable": 10, "canary": 4})
    waited = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        assert names(base) == ["1", "10", "2", "3", "4"]
        os.utime(path, (0, 0))
        if len(waited) == 1:
            write(base, another)  # would wait for the lock
            os.utime(path, (0, time.time() + 3600.0))  # by another machine's clock

    monkeypatch.setattr(time, "sleep", sleep)
    assert run(base, 1) == 0
    assert 4.0 < waited[0] <= 5.0, "twice config_poll_seconds, and poll_seconds"
    assert waited[1:] == [5.0]
    assert names(base) == ["10", "4"]
    assert capsys.readouterr().out.count("waiting until servers have read it") == 2


def test_without_anything_to_delete_nothing_is_waited_for(base: Path) -> None:
    path = write(base, ServedModel("char_rnn", str(base), All(), {"stable": 10}))
    os.utime(path)
    assert run(base, 5) == 0
    assert len(names(base)) == 5


def test_prune_works_on_a_full_disk(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The full disk is simulated: every attempt to write a file fails."""
    (base / ".withdrawn-0").mkdir()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write", full)
    assert run(base, 1) == 0
    assert names(base) == ["10"]


@pytest.mark.parametrize("keep", [0, -1])
def test_at_least_one_version_is_kept(base: Path, keep: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(base, keep) == 2
    assert f"Received: --keep {keep}" in capsys.readouterr().err
    assert len(names(base)) == 5


def test_version_that_cannot_be_deleted_does_not_stop_the_others(
    base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error is simulated: tests may run as the superuser, who may delete everything."""
    rmtree = shutil.rmtree

    def forbidden(path: Path) -> None:
        if path.name == ".withdrawn-2":
            raise PermissionError(13, "Permission denied", str(path / "variables"))
        rmtree(path)

    monkeypatch.setattr(shutil, "rmtree", forbidden)
    for keep, deleted, left in ((2, "1, 2, 3", "4, 10"), (1, "4", "10")):
        assert run(base, keep) == 2
        printed = capsys.readouterr()
        assert printed.out == f"deleted: {deleted}; left: {left}\n"
        assert printed.err.endswith(f"Received: {base}/.withdrawn-2/variables: Permission denied\n")
        assert "models.config" not in printed.err
    monkeypatch.setattr(shutil, "rmtree", rmtree)
    assert run(base, 1) == 0
    assert names(base) == ["10"]


def test_copy_is_not_pruned(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = model_config.path_in(str(base.parent))
    model_config.update(path, "char_rnn", lambda _: ServedModel("char_rnn", str(tmp_path), All(), {"stable": 10}))
    assert run(base, 1) == 2
    assert f"Received: versions in {base}\n" in capsys.readouterr().err
    assert len(names(base)) == 5
