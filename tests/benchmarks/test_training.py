"""The whole of it at a size that takes seconds, without PyTorch."""

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.training import OURS, OURS_FLOAT32, table

ROOT = Path(__file__).resolve().parents[2]


def test_a_contender_is_measured_against_ours_and_against_the_ceiling_of_its_type() -> None:
    size = {
        "model": {"cell": "gru", "units": 8, "embedding": 4, "layers": 1},
        "batch": 2,
        "length": 10,
        "operations": 4e9,
        "ceilings": {
            "square": {"float32": 10e9, "bfloat16": 20e9},
            "recurrent": {"float32": 5e9, "bfloat16": 8e9},
        },
        "contenders": {
            OURS: {"wall": 1.0, "cpu": 1.0, "loss": 2.0},
            OURS_FLOAT32: {"wall": 2.0, "cpu": 4.0, "loss": 2.0},
        },
        "ready": {OURS: {"precision": "bfloat16"}, OURS_FLOAT32: {"precision": "float32"}},
        "left_out": {"torch.compile": "no compiler"},
    }
    *_, ours, ours_float32, left_out = table("quick", size)
    assert ours.removeprefix(OURS).split() == [
        "1.000",
        "1.000",
        "20",
        "1.00",
        "1.00",
        "0.50",
        "0.25",
        "20%",
        "50%",
        "2.000",
    ]
    assert ours_float32.removeprefix(OURS_FLOAT32).split()[-3:-1] == ["20%", "40%"]
    assert left_out == "torch.compile is left out: no compiler"


def test_the_program_measures_prints_and_writes(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("abcdefghij" * 200)
    small = ["model.units=8", "model.embedding=4", "training.batch_size=4", "training.sequence_length=10"]
    command = [sys.executable, "benchmarks/training.py", str(tmp_path / "text.txt"), "--sizes", "quick"]
    command += ["--steps", "1", "--rounds", "1", "--json", str(tmp_path / "out.json")]
    command += [word for setting in small for word in ("--set", setting)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    first, *lines = done.stdout.splitlines()
    assert " cores, " in first
    assert [line for line in lines if line.startswith("Keras fit, float32")]
    written = json.loads((tmp_path / "out.json").read_text())
    assert {OURS, OURS_FLOAT32} <= set(written["sizes"]["quick"]["contenders"])
    assert written["sizes"]["quick"]["ready"][OURS_FLOAT32]["precision"] == "float32"
