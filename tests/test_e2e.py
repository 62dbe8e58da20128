"""The real pipeline on a small configuration: executed, cached, repaired, not blessed, improved.

Five runs on one root; each test reads the results of its run. TF Serving is not used here.
"""

import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import numeric, warm

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parent.parent
SMALL = {
    "corpus.eval_fraction": 0.03,
    "model.units": 64,
    "model.embedding": 16,
    "training.batch_size": 32,
    "training.sequence_length": 50,
    "training.steps": 200,
    "training.eval_every": 100,
    "training.learning_rate": 0.01,
    "evaluation.threshold": 9.0,
}
COMPONENTS = {
    "CorpusExampleGen",
    "StatisticsGen",
    "ImportSchemaGen",
    "ExampleValidator",
    "AnomalyGate",
    "Transform",
    "Trainer",
    "LastBlessed",
    "Evaluator",
    "InfraCheck",
    "Pusher",
}


@dataclass(frozen=True)
class Run:
    """Results of one run."""

    code: int
    output: str
    summary: dict[str, Any]
    versions: list[str]
    root: Path

    def how(self) -> dict[str, str]:
        return {name: component["how"] for name, component in self.summary["components"].items()}


def run(root: Path, corpus: str | Path = "sample", *, python: str | None = None, **changes: Any) -> Run:
    """Run the program, by default in the warm Python."""
    settings = SMALL | {key.replace("__", "."): value for key, value in changes.items()}
    summary = root / "summary.json"
    command = [python or warm.python(), "local_runner.py", "--corpus", str(corpus), "--root", str(root)]
    command += ["--summary", str(summary)]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    summary.unlink(missing_ok=True)
    environment = {key: value for key, value in os.environ.items() if key != "TF_CONFIG"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert summary.exists(), done.stdout + done.stderr
    serving = root / "serving" / "char_rnn"
    versions = sorted(path.name for path in serving.iterdir()) if serving.exists() else []
    return Run(done.returncode, done.stdout + done.stderr, json.loads(summary.read_text()), versions, root)


def repair(root: Path) -> Run:
    """Delete the served version and the Trainer's artifact, and run again."""
    shutil.rmtree(root / "serving" / "char_rnn" / "1")
    shutil.rmtree(root / "pipeline" / "Trainer" / "model")
    return run(root)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    root = tmp_path_factory.mktemp("root")
    return {
        "first": run(root, python=sys.executable),  # a fresh start, as by a user
        "same": run(root),
        "repaired": repair(root),
        "worse": run(root, training__steps=20),
        "better": run(root, training__steps=300),
    }


def assert_same_perplexity(one: float, other: float) -> None:
    """Compare perplexities of the same passages in other batches; a passage has 2,000 characters in float32."""
    assert math.log(one) == pytest.approx(math.log(other), rel=numeric.relative(2_000))


def test_first_run_is_blessed_and_pushed(runs: dict[str, Run]) -> None:
    first = runs["first"]
    assert first.code == 0, first.output
    assert first.summary["blessed"]
    assert first.summary["pushed_version"] == "1"
    assert first.summary["baseline_perplexity"] is None
    assert first.how() == dict.fromkeys(COMPONENTS, "executed")
    assert first.versions == ["1"]
    assert first.summary["eval_chars"] == 4_322
    assert 1 < first.summary["perplexity"] < 9


def test_second_identical_run_is_cached(runs: dict[str, Run]) -> None:
    first, same = runs["first"], runs["same"]
    assert same.code == 0, same.output
    assert same.how() == dict.fromkeys(COMPONENTS, "cached")
    assert same.versions == ["1"]
    assert same.summary["pushed_version"] == "1"
    assert same.summary["perplexity"] == first.summary["perplexity"]


def test_deleted_results_are_repaired_without_training(runs: dict[str, Run]) -> None:
    repaired = runs["repaired"]
    assert repaired.code == 0, repaired.output
    assert repaired.how()["Trainer"] == "executed"
    assert "Reusing the finished export" in repaired.output
    assert repaired.summary["perplexity"] == runs["first"].summary["perplexity"]
    assert repaired.versions == ["2"], "the number of a deleted version is not reused"


def test_worse_model_is_not_blessed_and_the_old_version_stays(runs: dict[str, Run]) -> None:
    worse = runs["worse"]
    assert worse.code == 3, worse.output
    assert not worse.summary["blessed"]
    assert worse.summary["pushed_version"] is None
    assert worse.versions == ["2"]
    assert_same_perplexity(worse.summary["baseline_perplexity"], runs["first"].summary["perplexity"])
    assert worse.summary["perplexity"] > 9
    reasons = " ".join(worse.summary["reasons"])
    assert "above the threshold 9" in reasons
    assert "last blessed model" in reasons
    # Unchanged components did not run again.
    assert {name for name, how in worse.how().items() if how == "cached"} == COMPONENTS - {
        "Trainer",
        "LastBlessed",
        "Evaluator",
        "InfraCheck",
        "Pusher",
    }


def test_better_model_is_pushed_next_to_the_old_one(runs: dict[str, Run]) -> None:
    better = runs["better"]
    assert better.code == 0, better.output
    assert better.summary["pushed_version"] == "3"
    assert better.versions == ["2", "3"]
    assert better.summary["perplexity"] < better.summary["baseline_perplexity"]
    assert_same_perplexity(better.summary["baseline_perplexity"], runs["first"].summary["perplexity"])


def test_pushed_model_and_its_checkpoint_generate_without_a_server(runs: dict[str, Run]) -> None:
    better = runs["better"]

    def ask(*arguments: str) -> str:
        settings = [f"corpus.eval_fraction={SMALL['corpus.eval_fraction']}", "serving.rest_port=1"]  # no server there
        chosen = ["--root", str(better.root), *(word for setting in settings for word in ("--set", setting))]
        command = [warm.python(), "-m", "serving", *arguments, *chosen]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    text = ask("generate", "HENNE: ", "--seed", "3", "--chars", "120")
    assert len(text) >= 120
    assert ask("generate", "HENNE: ", "--seed", "3", "--chars", "120", "--checkpoint") == text
    sample = next((ROOT / "components" / "sample").glob("*.txt"))
    score = json.loads(ask("score", str(sample), "--split", "eval", "--json"))
    assert score["predicted"] == better.summary["eval_chars"]
    assert_same_perplexity(score["perplexity"], better.summary["perplexity"])


def test_output_has_a_line_for_each_component_a_table_and_a_sample(runs: dict[str, Run]) -> None:
    output = runs["first"].output
    for name in COMPONENTS:
        assert f"+ {name}" in output
    for word in ("perplexity", "bits per character", "threshold", "baseline", "blessed", "characters at temperature"):
        assert word in output
    assert "WARNING" not in output
    assert "Traceback" not in output
