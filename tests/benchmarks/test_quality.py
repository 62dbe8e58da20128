"""Tables and plots of made-up trainings, and real trainings of a size that takes seconds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import machine, quality
from benchmarks.workers import Worker
from pipeline.config import overrides
from tests import warm

pytestmark = pytest.mark.integration


def run(name: str, seed: int, cpu: float, **nats: float) -> dict[str, Any]:
    curve = [{"cpu": cpu / 2, "wall": 1.0, "loss": 3.0}, {"cpu": cpu, "wall": 2.0, "loss": 2.0}]
    named = {context.replace("_", " "): value for context, value in nats.items()}
    return {"name": name, "seed": seed, "cpu": cpu, "wall": 1.0, "parameters": 9, "nats": named, "curve": curve}


def test_table_has_a_column_for_each_context() -> None:
    assert [quality.head().count(context) for context in quality.CONTEXTS] == [1] * len(quality.CONTEXTS)
    line = quality.row(run("quick", 1, 10.0, windows_of_100=1.7))
    assert line.index("1.7000") + len("1.7000") == quality.head().index("windows of 100") + len("windows of 100")


def test_summary_averages_seeds_and_compares_with_the_better_context_of_the_gpt() -> None:
    runs = [run("quick", 1, 10.0, carried=1.5), run("quick", 2, 10.0, carried=1.7)]
    runs.append(run("GPT, CPU seconds of quick", 1, 10.0, windows_of_64=1.9, sliding_64=1.8))
    seeds, gap = quality.summary(runs)
    assert seeds == "quick, carried, 2 seeds: mean 1.6000, from 1.5000 to 1.7000"
    assert gap.endswith("(sliding 64: 1.8000) by 0.200 in carried")


def test_interrupted_trainings_are_kept_and_finished_ones_are_not_repeated(tmp_path: Path) -> None:
    file, options = tmp_path / "found.json", {**dict.fromkeys(quality.DECISIVE, "x"), "presets": ["quick"]}
    assert quality.finished(file, options) == []
    file.write_text(json.dumps({"options": options, "runs": [run("quick", 1, 10.0)]}))
    runs = quality.finished(file, {**options, "presets": ["best", "quick"]})
    assert [quality.is_known(runs, "quick", seed) for seed in (1, 2)] == [True, False]
    with pytest.raises(SystemExit, match=r"other options \(threads=x\).*Received: --json"):
        quality.finished(file, {**options, "threads": 3})
    with pytest.raises(KeyboardInterrupt), quality.checkpoints(file, "quick", 2) as directory:
        raise KeyboardInterrupt
    assert Path(directory).exists()
    with quality.checkpoints(file, "quick", 2) as same:
        assert same == directory
    assert not Path(directory).exists()


def test_plot_is_a_png_file(tmp_path: Path) -> None:
    quality.plot([run("quick", 1, 10.0, carried=1.5)], tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_training_reports_a_curve_and_a_loss_for_each_context(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.txt").write_text("abcdefghij" * 600)
    settings = ["model.units=8", "model.embedding=4", "training.batch_size=4", "training.sequence_length=10"]
    settings += [
        "training.steps=40",
        "training.eval_every=20",
        "training.learning_rate=0.05",
        "training.sample_chars=0",
        "training.measured_chars=0",
    ]
    settings += ["training.precision=float32", "training.warmup_steps=0"]
    config = overrides.load("quick", settings).model_dump()
    with Worker("our_fit", {"corpus": str(tmp_path / "text.txt"), "threads": 1}, warm.python()) as worker:
        sections = {name: config[name] for name in ("seed", "model", "training")}
        done = worker.ask({**sections, "directory": str(tmp_path / "checkpoints")})
        again = worker.ask({**sections, "directory": str(tmp_path / "checkpoints")})
    assert done["steps"] == 40
    assert len(done["curve"]) == 2
    progress = capsys.readouterr().err.splitlines()
    assert [line.split()[:3] for line in progress] == [
        ["our_fit:", f"{at['loss']:.4f}", "nats"] for at in done["curve"]
    ]
    # The second request resumes at the end: with the totals of the first one, and nothing else to train.
    assert again["curve"] == done["curve"]
    assert (again["steps"], again["nats"]) == (done["steps"], done["nats"])
    assert again["cpu"] > done["curve"][-1]["cpu"]
    assert done["curve"][0]["cpu"] < done["curve"][1]["cpu"] <= done["cpu"]
    # Every context suffices for a text in which each character determines the next one.
    losses = [done["curve"][1]["loss"], *done["nats"].values()]
    assert set(done["nats"]) == {"carried", "windows of 100", "windows of 256"}
    assert max(losses) < 1.0
    assert np.ptp(losses) < 0.1


def test_gpt_learns(tmp_path: Path) -> None:
    python = machine.find_torch(None)
    if python is None:
        pytest.skip("torch is not installed: uv run --group dev --group peers pytest")
    ids = np.tile(np.arange(10, dtype=np.uint8), 50)
    np.savez(tmp_path / "ids.npz", train=ids, evaluation=ids)
    job = {"arrays": str(tmp_path / "ids.npz"), "vocabulary_size": 11, "seed": 1, "threads": 1, "compile": False}
    with Worker("gpt", job, python) as worker:
        done = worker.ask({"iterations": 60})
    assert done["parameters"] == 11 * 128 + 64 * 128 + 4 * (12 * 128 * 128 + 2 * 128) + 128
    assert max(done["nats"].values()) < 1.0
