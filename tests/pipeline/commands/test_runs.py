"""`runs` prints a table or JSON, newest first."""

import json
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.runs import record
from tests.pipeline.runs.simulated import Settings, Simulation, materialize


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = Simulation(str(tmp_path))
    made.run(Settings("poems", "odes.txt"), "Trainer", "RUNNING")
    made.run(Settings("plays", "hamlet.txt"))
    materialize(made)
    with record.recorded(
        str(tmp_path / "metadata.db"), "run 2", "plays", corpus="texts/ham\x1blet.txt", spans="4,5"
    ) as finish:
        finish({"blessed": False, "reasons": ["perplexity 9.1 is above the threshold 9"], "perplexity": 9.1234})
    return tmp_path


def test_table_has_a_row_for_each_run(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--root", str(root)]) == 0
    first, header, plays, poems = capsys.readouterr().out.splitlines()
    assert first == f"2 runs in {root}"
    assert header.split()[:4] == ["run", "model", "corpus", "spans"]
    assert r" plays  ham\x1blet.txt    4, 5 " in plays
    assert " 9.123 " in plays
    assert "not blessed: perplexity 9.1 is above the threshold 9" in plays
    assert " 0 of 6 " in plays
    assert "interrupted at Trainer" in poems


def test_json_is_a_list_newest_first(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--json", "--root", str(root)]) == 0
    plays, poems = json.loads(capsys.readouterr().out)
    assert (plays["run"], plays["decision"], plays["version"]) == ("run 2", "not blessed", None)
    assert (poems["run"], poems["component"]) == ("run 1", "Trainer")
    assert (plays["spans"], poems["spans"]) == (["4", "5"], [])


def test_runs_of_one_model(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--model", "poems", "--json", "--root", str(root)]) == 0
    assert [one["run"] for one in json.loads(capsys.readouterr().out)] == ["run 1"]
    assert main(["runs", "--model", "poems", "--root", str(root)]) == 0
    assert "spans" not in capsys.readouterr().out
    assert main(["runs", "--model", "odes", "--root", str(root)]) == 2
    assert "Name one of these with --model, or another root with --root: plays, poems" in capsys.readouterr().err


def test_root_without_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"No run is recorded in {tmp_path}.\n"
    assert main(["runs", "--root", "gs://bucket/runs"]) == 2
    assert list(tmp_path.iterdir()) == []
