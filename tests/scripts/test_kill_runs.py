"""The script kills a small program in place of `local_runner.py`, and reports what that does wrong."""

import random
from pathlib import Path

import pytest
import tensorflow as tf  # noqa: F401 - imported here, and not in each process of a pool

from scripts import kill_runs, run_process
from scripts.run_process import Moment

pytestmark = pytest.mark.integration

# It pushes a model of two files. On the root of a trial, the first start stops in between and waits for its end.
PROGRAM = """
import hashlib, json, os, pathlib, signal, subprocess, sys
root, summary = map(pathlib.Path, (sys.argv[4], sys.argv[6]))
wrong = "{wrong}"
root.mkdir(exist_ok=True)
was_killed = (root / "log").exists()
(root / "log").touch()
serving, registry = root / "serving" / "char_rnn", root / "registry" / "char_rnn"
partial = serving / ("1" if wrong == "half a version" else ".incoming-1")
partial.mkdir(parents=True, exist_ok=True)
(partial / "weights").write_text("weights")
if wrong == "a process":
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3)", str(root / "model")], start_new_session=True)
print("+ Trainer    0.1 s  executed", flush=True)
if root.parent.name.startswith("trial") and not was_killed:
    signal.pause()
(partial / "saved_model.pb").write_text("graph")
if not (serving / "1").exists():
    partial.rename(serving / "1")
digest = hashlib.sha256()
for name in ("saved_model.pb", "weights"):
    digest.update(f"{{name}}\\0{{hashlib.sha256((serving / '1' / name).read_bytes()).hexdigest()}}\\n".encode())
registry.mkdir(parents=True, exist_ok=True)
entry = {{"version": 1, "digest": digest.hexdigest(), "served": str(serving / "1")}}
(registry / "1.json").write_text(json.dumps(entry))
if wrong == "a file" and was_killed:
    (serving / ".incoming-2").touch()
print("+ Pusher     0.1 s  executed", flush=True)
perplexity = 5.0 + (wrong == "a result" and was_killed)
summary.write_text(json.dumps({{"perplexity": perplexity, "pushed_version": "1", "model": str(root)}}))
sys.exit(7 if wrong == "an exit code" and was_killed else 0)
"""


@pytest.mark.parametrize(
    ("wrong", "reported"),
    [
        ("nothing", "failed trials: 0"),
        ("half a version", "serving/char_rnn/1/saved_model.pb: missing"),
        ("a file", ".incoming-2: left over"),
        ("a result", "its result is {'code': 0, 'perplexity': 6.0"),
        ("an exit code", "its result is {'code': 7"),
        ("a process", "still runs"),
    ],
)
def test_trials_fail_for_what_a_program_does_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wrong: str, reported: str
) -> None:
    (tmp_path / "local_runner.py").write_text(PROGRAM.format(wrong=wrong))
    monkeypatch.setattr(run_process, "ROOT", tmp_path)
    monkeypatch.setattr(run_process, "_SECONDS_TO_END", 0.3)
    monkeypatch.setattr(kill_runs, "MOST_KILLS", 1)
    monkeypatch.setattr(kill_runs, "moment_of", lambda *_: Moment(1, 0.0))
    monkeypatch.setattr(kill_runs.tempfile, "mkdtemp", lambda **_: str(tmp_path))
    code = kill_runs.main(["2", "--cold", "--jobs", "1"])
    output = capsys.readouterr().out
    assert reported in output
    assert "2 kills in 2 trials" in output
    assert code == (wrong != "nothing")
    kept = {path.name for path in tmp_path.glob("trial-*")}
    assert kept == (set() if wrong == "nothing" else {"trial-1", "trial-2"})
    assert all(f"kept: {tmp_path / name}" in output for name in kept)


def test_run_that_fails_before_its_moment_is_reported_even_if_the_next_one_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = [1, 0]
    monkeypatch.setattr(kill_runs.published, "final_faults", lambda *_: [])
    reference = kill_runs.Reference({"report": 1.0}, None, {"code": 0})  # type: ignore[arg-type]

    def run(*_: object) -> run_process.Run:
        return run_process.Run(codes.pop(0), 1.0, {}, [], tmp_path / "output-1.txt")

    trial = kill_runs._attempt(run, reference, (tmp_path / "trial-1" / "root", (1, random.Random(0))))
    assert trial.kills == []
    assert "its result is {'code': 1} and not {'code': 0}" in trial.faults[0]


def test_undisturbed_runs_that_fail_end_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "local_runner.py").write_text("import sys; sys.exit(3)")
    monkeypatch.setattr(run_process, "ROOT", tmp_path)
    monkeypatch.setattr(kill_runs.tempfile, "mkdtemp", lambda **_: str(tmp_path))
    with pytest.raises(SystemExit, match=r"Undisturbed runs fail or differ: see .*output-1.txt.*'code': 3"):
        kill_runs.main(["2", "--cold", "--jobs", "1"])


def test_plan_has_the_given_number_of_kills_and_repeats_with_the_seed() -> None:
    plans = kill_runs.planned(200, seed=3)
    counts = [count for count, _ in plans]
    assert sum(counts) == 200
    assert set(counts) == set(range(1, kill_runs.MOST_KILLS + 1))
    stages = {"Transform": 5.0, "Pusher": 0.1}

    def moments(plans: list[tuple[int, random.Random]]) -> list[Moment]:
        return [kill_runs.moment_of(draw, stages) for _, draw in plans]

    assert moments(plans) == moments(kill_runs.planned(200, seed=3)) != moments(kill_runs.planned(200, seed=4))


def test_moments_cover_long_stages_by_their_duration_and_short_ones_nevertheless() -> None:
    draw = random.Random(0)
    moments = [kill_runs.moment_of(draw, {"Transform": 9.9, "Pusher": 0.1}) for _ in range(1000)]
    assert 650 < sum(moment.components == 0 for moment in moments) < 850
    assert all(0 <= moment.seconds <= (9.9, 0.1)[moment.components] for moment in moments)


@pytest.mark.parametrize(
    ("ended", "seconds", "reached"),
    [
        ({}, 100.0, False),
        ({"A": 2.0}, 100.0, False),
        ({"A": 2.0, "B": 3.0}, 3.4, False),
        ({"A": 2.0, "B": 3.0}, 3.5, True),
    ],
)
def test_moment_is_reached_some_time_after_components_have_ended(
    ended: dict[str, float], seconds: float, reached: bool
) -> None:
    assert Moment(2, 0.5).is_reached(ended, seconds) == reached
    assert Moment(0, seconds).is_reached(ended, seconds)
