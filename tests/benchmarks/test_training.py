"""The complete program at a size that takes seconds, without PyTorch."""

import json
import math
import os
import subprocess
from pathlib import Path

import pytest

from benchmarks.training import EMULATED, KERAS_BFLOAT16, KERAS_FLOAT32, OURS, OURS_FLOAT32, table
from tests import warm

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
# The program, with small products for its ceilings, which are not tested here.
SMALL_PRODUCTS = """
from benchmarks import training
training.SQUARE, training.CEILING_SECONDS = 64, 0.01
training.main()
"""


def test_table_compares_with_ours_and_with_the_ceiling_of_the_type() -> None:
    size = {
        "model": {"cell": "gru", "units": 8, "embedding": 4, "layers": 1},
        "batch": 2,
        "length": 10,
        "operations": 4e9,
        "ceilings": {
            "square": {"float32": 10e9, "bfloat16": 20e9},
            "recurrent": {"float32": 5e9, "bfloat16": 8e9},
        },
        "implementations": {
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


def test_ours_and_stock_keras_are_measured_and_learn_equally(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("abcdefghij" * 300)
    small = ["model.units=8", "model.embedding=4", "training.batch_size=4", "training.sequence_length=10"]
    small += ["training.learning_rate=0.05", "training.warmup_steps=0", "training.max_minutes=none"]
    small += ["model.output_dropout=0"]
    command = [warm.python(), "-c", SMALL_PRODUCTS, str(tmp_path / "text.txt"), "--sizes", "quick"]
    command += ["--implementations", OURS_FLOAT32, KERAS_FLOAT32, KERAS_BFLOAT16]
    command += ["--steps", "18", "--rounds", "2"]
    command += ["--json", str(tmp_path / "out.json"), *(word for setting in small for word in ("--set", setting))]
    without_bfloat16 = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(command, cwd=ROOT, env=without_bfloat16, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    first, *lines = done.stdout.splitlines()
    assert " cores, " in first
    assert [line for line in lines if line.startswith("Keras fit, float32")]
    measured = json.loads((tmp_path / "out.json").read_text())["sizes"]["quick"]
    assert measured["left_out"] == {KERAS_BFLOAT16: EMULATED}
    assert all(set(speeds) == {"float32"} for speeds in measured["ceilings"].values())
    shown = done.stderr.splitlines()
    assert {"matrix products, tensorflow ...", f"quick: {OURS_FLOAT32} ...", "quick: round 2 of 2"} <= set(shown)
    assert set(measured["implementations"]) == {OURS_FLOAT32, KERAS_FLOAT32}
    ours, keras = (measured["turns"][name] for name in (OURS_FLOAT32, KERAS_FLOAT32))
    # Different initial weights; the same batches, optimizer, and carried state.
    assert ours[0]["loss"] == pytest.approx(keras[0]["loss"], abs=0.3)
    assert ours[1]["loss"] == pytest.approx(keras[1]["loss"], abs=0.3)
    for turns in (ours, keras):
        assert turns[1]["loss"] < turns[0]["loss"] < math.log(10)
        assert all(turn["wall"] > 0.0 and turn["cpu"] > 0.0 for turn in turns)
    assert measured["ready"][KERAS_FLOAT32]["precision"] == "float32"
