"""`clean` on simulated roots on disk: what stays, what goes, what is printed; refused, killed, and repeated."""

import fcntl
import json
from pathlib import Path

import pytest

from components.models import registry
from pipeline.__main__ import main
from pipeline.config.places import Places
from pipeline.config.run import Config
from pipeline.runs import retention
from tests.pipeline.runs.simulated import files, materialize, simulate, states, three_runs

HISTORIES = (0, 5, 17, 37)  # those of the retention's test have no files
KEEP = 2


def clean(root: Path | str, *options: str, keep: int = 1) -> int:
    return main(["clean", "--keep", str(keep), "--root", str(root), *options])


@pytest.mark.parametrize("seed", HISTORIES)
def test_root_on_disk_is_left_as_the_simulated_one(seed: int, tmp_path: Path) -> None:
    """The pure function was tested on a thousand of these; here it reads ML Metadata, files and registries."""
    made = simulate(seed, str(tmp_path / "root"))
    materialize(made)
    expected = retention.choose(made.history(), made.disk(), made.registered(), KEEP)
    gone = {path for path in files(tmp_path) if path.startswith(tuple(f"{one}/" for one in paths(expected)))}
    left = files(tmp_path) - gone
    assert clean(made.root, keep=KEEP) == 0
    assert files(tmp_path) == left
    made.delete(expected)
    assert states(tmp_path / "root") == {number: one.state for number, one in made.artifacts.items()}


def paths(choice: retention.Choice) -> list[str]:
    return [*choice.directories, *(one.uri for one in choice.artifacts)]


def test_table_and_json_list_what_is_deleted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    three_runs(tmp_path)
    before = files(tmp_path)
    assert clean(tmp_path, "--dry-run") == 0
    printed = capsys.readouterr().out
    assert clean(tmp_path, "--dry-run", "--json") == 0
    planned = json.loads(capsys.readouterr().out)
    assert files(tmp_path) == before
    assert set(states(tmp_path).values()) == {"LIVE"}
    assert clean(tmp_path, "--json") == 0
    done = json.loads(capsys.readouterr().out)
    assert done == {**planned, "dry_run": False}
    assert done["kept"] == ["run 3"]
    items = done["deleted"]
    assert {file.startswith(tuple(f"{item['path']}/" for item in items)) for file in before - files(tmp_path)} == {True}
    assert not any(Path(item["path"]).exists() for item in items)
    rows = [line.split() for line in printed.splitlines()]
    assert ["corpora", "2", "0.0", "MB"] in rows
    assert ["checkpoints", "2", "0.0", "MB"] in rows
    assert ["total", str(len(items)), "0.0", "MB"] in rows
    assert printed.endswith("would be deleted: 0.0 MB; kept: 1 of 3 runs\n")


def test_second_clean_has_nothing_to_delete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    three_runs(tmp_path)
    assert clean(tmp_path) == 0
    capsys.readouterr()
    assert clean(tmp_path) == 0
    assert capsys.readouterr().out == "deleted: nothing; kept: 1 of 3 runs\n"


def test_root_that_a_run_is_using_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    three_runs(tmp_path)
    before = files(tmp_path)
    with open(Places(Config(root=str(tmp_path))).lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert clean(tmp_path) == 2
    assert "error: A run is using this root" in capsys.readouterr().err
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("root", "keep", "message"),
    [
        ("nowhere", 1, "No run is recorded there"),
        ("gs://bucket/runs", 1, "Runs in a bucket are recorded by Kubeflow or Vertex AI"),
        ("nowhere", 0, "At least one run is kept. Received: --keep 0"),
    ],
)
def test_root_without_runs_is_refused(root: str, keep: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert clean(root, keep=keep) == 2
    assert message in capsys.readouterr().err


def test_root_named_by_a_link_is_cleaned(tmp_path: Path) -> None:
    three_runs(tmp_path / "root")
    (tmp_path / "link").symlink_to(tmp_path / "root")
    assert clean(tmp_path / "link") == 0
    assert set(states(tmp_path / "root").values()) == {"LIVE", "DELETED"}


def test_directory_of_another_name_is_not_touched(tmp_path: Path) -> None:
    made = three_runs(tmp_path)
    place = Path(next(iter(made.checkpoints)))
    place.rename(place.with_name("my copy"))
    assert clean(tmp_path) == 0
    assert (tmp_path / "checkpoints" / "my copy").is_dir()


def test_moved_root_keeps_the_checkpoints_of_kept_runs(tmp_path: Path) -> None:
    made = three_runs(tmp_path / "first")
    (tmp_path / "first").rename(tmp_path / "second")
    assert clean(tmp_path / "second") == 0
    left = [path.name for path in (tmp_path / "second" / "checkpoints").iterdir()]
    assert left == [Path(list(made.checkpoints)[-1]).name]


def test_registry_that_cannot_be_read_stops_before_anything_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    three_runs(tmp_path)
    before = files(tmp_path)

    def refuse(directory: str) -> None:
        raise PermissionError(13, "Permission denied", directory)

    monkeypatch.setattr(registry, "entries", refuse)
    assert clean(tmp_path) == 2
    assert (
        f"Permission denied. Fix its permissions; nothing was deleted. Received: {tmp_path}" in capsys.readouterr().err
    )
    assert (files(tmp_path), set(states(tmp_path).values())) == (before, {"LIVE"})
