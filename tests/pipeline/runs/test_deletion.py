"""Artifacts are marked before files are deleted; a deletion that is killed is continued by the next one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.errors import UserError
from pipeline import metadata_store
from pipeline.__main__ import main
from pipeline.config.places import Places
from pipeline.config.run import Config
from pipeline.runs import deletion, retention
from tests.pipeline.runs.simulated import files, states, three_runs


def clean(root: Path, keep: int = 1) -> int:
    return main(["clean", "--keep", str(keep), "--root", str(root)])


@pytest.mark.parametrize(("step", "after"), [("_remove", 0), ("_remove", 9), ("_hide", 0), ("_hide", 3)])
def test_killed_clean_is_continued_by_the_next(
    step: str, after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    for root in (undisturbed, killed):
        three_runs(root)
    assert clean(undisturbed) == 0
    original: Callable[[str], str] = getattr(deletion, step)
    calls: list[str] = []

    def dies(path: str) -> str:
        calls.append(path)
        if len(calls) > after:
            raise KeyboardInterrupt  # nothing in between handles it
        return original(path)

    with monkeypatch.context() as patched:
        patched.setattr(deletion, step, dies)
        assert clean(killed) == 130
    # No artifact that is partly deleted can come from the cache.
    assert states(killed) == states(undisturbed)
    assert clean(killed, keep=3) == 0, "also with another number of runs"
    assert clean(killed) == 0
    assert {path.removeprefix(str(killed)) for path in files(killed)} == {
        path.removeprefix(str(undisturbed)) for path in files(undisturbed)
    }


def test_artifacts_are_marked_before_anything_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = three_runs(tmp_path)
    marked: list[dict[int, str]] = []
    monkeypatch.setattr(deletion, "_remove", lambda _: marked.append(states(tmp_path)))
    assert clean(tmp_path) == 0
    expected = retention.choose(made.history(), made.disk(), [], 1)
    assert {number for number, state in marked[0].items() if state == "DELETED"} == {
        one.id for one in expected.artifacts
    }


def test_artifacts_that_stay_are_not_written(tmp_path: Path) -> None:
    """TFX's cache compares the time of their last change, too."""
    three_runs(tmp_path)
    store = metadata_store.connect(str(tmp_path / "metadata.db"))
    before = {one.id: one for one in store.get_artifacts()}
    assert clean(tmp_path) == 0
    left = [one for one in store.get_artifacts() if one.state == one.LIVE]
    assert left
    assert [before[one.id] for one in left] == left


def test_file_that_cannot_be_deleted_is_named_and_the_others_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = three_runs(tmp_path)
    remove = deletion._remove

    def refuses(path: str) -> None:
        if "/corpus/" in path:
            raise PermissionError(13, "Permission denied", path)
        remove(path)

    with monkeypatch.context() as patched:
        patched.setattr(deletion, "_remove", refuses)
        assert clean(tmp_path) == 2
    assert "Permission denied" in capsys.readouterr().err
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1
    assert clean(tmp_path) == 0
    assert sorted(map(str, (tmp_path / "corpus").iterdir())) == [made.runs[-1].executions[0].properties["input_base"]]


def test_lock_is_free_after_an_error(tmp_path: Path) -> None:
    three_runs(tmp_path)
    places = Places(Config(root=str(tmp_path)))
    with pytest.raises(UserError), deletion.locked(places):
        raise UserError("any")
    with deletion.locked(places):
        pass
