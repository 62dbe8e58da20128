"""One run of the program, components included, at a size that takes half a minute."""

import json
import subprocess
from pathlib import Path

import pytest

from tests import warm

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]


def test_program_measures_texts_and_models(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("The quick brown fox jumps over the lazy dog.\n" * 200)
    command = [warm.python(), "benchmarks/scaling.py", str(tmp_path / "text.txt"), "--megabytes", "0.02"]
    command += ["--evaluate", "0.02"]
    command += ["--units", "8", "--layers", "1", "--replicas", "2", "--steps", "1", "--rounds", "1"]
    command += [
        "--set",
        "training.batch_size=4",
        "--set",
        "model.units=8",
        "--set",
        "model.embedding=4",
        "--json",
        str(tmp_path / "out.json"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "out.json").read_text())
    (text,) = found["texts"]
    assert list(text["stages"])[0] == "stage"
    assert {"StatisticsGen", "Transform", "load", "windows"} <= set(text["stages"])
    assert text["characters"] == 20_000
    assert text["trained"]["characters"] > 0
    fixed, adaptive = (text["evaluated"][name] for name in ("fixed", "adaptive"))
    assert fixed["characters"] == adaptive["characters"] > 0
    assert fixed["perplexity"] == pytest.approx(adaptive["perplexity"], rel=1e-6)
    assert [(one["replicas"], "turns" in one) for one in found["models"]] == [(1, True), (2, True)]
