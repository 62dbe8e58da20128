"""The real pipeline on a small configuration: executed, cached, repaired, not blessed, improved, warm-started, tuned.

Nine runs on one root, one after the other; each test reads the results of its run. TF Serving is not used here.
"""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import tensorflow as tf
from nbclient import NotebookClient

from tests import numeric, warm

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parent.parent
SMALL = {
    "corpus.eval_fraction": 0.03,
    "model.units": 64,
    "model.embedding": 16,
    "training.batch_size": 64,
    "training.sequence_length": 25,
    "training.steps": 200,
    "training.eval_every": 100,
    "training.learning_rate": 0.01,
    "training.sample_chars": 20,
    "evaluation.threshold": 9.0,
    "evaluation.max_copied": 0.5,
}
NEW = "\u03a9"  # a character that is not in the sample
# The first run shows what is generated and copied; generating it takes seconds.
UNMEASURED: dict[str, Any] = {"training__measured_chars": 0, "evaluation__max_copied": "none"}
GROWN: dict[str, Any] = {
    "training__warm_start": "true",
    "training__steps": 50,
    "evaluation__max_increase": 0.5,
    **UNMEASURED,
}
# The models of a search have at least 256 units.
SEARCH: dict[str, Any] = {
    "training__batch_size": 8,
    "training__steps": 20,
    "training__eval_every": 20,
    "tuner__enabled": "true",
    "tuner__trials": 2,
    "tuner__steps": 10,
    **UNMEASURED,
}
COMPONENTS = {
    "CorpusExampleGen",
    "StatisticsGen",
    "ImportSchemaGen",
    "ExampleValidator",
    "AnomalyGate",
    "DriftCheck",
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
        "worse": run(root, training__steps=20, **UNMEASURED),
        "better": run(root, training__steps=300, **UNMEASURED),
    }


@pytest.fixture(scope="module")
def asked(runs: dict[str, Run]) -> dict[str, str]:
    """Output of `python -m serving` for the newest model, by command."""
    sample = next((ROOT / "components" / "sample").glob("*.txt"))

    def ask(*arguments: str) -> str:
        settings = [f"corpus.eval_fraction={SMALL['corpus.eval_fraction']}", "serving.rest_port=1"]  # no server there
        chosen = ["--root", str(runs["better"].root), *(word for setting in settings for word in ("--set", setting))]
        command = [warm.python(), "-m", "serving", *arguments, *chosen]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    generate = ("generate", "HENNE: ", "--seed", "3", "--chars", "120")
    return {
        "generate": ask(*generate),
        "generate --checkpoint": ask(*generate, "--checkpoint"),
        "score": ask("score", str(sample), "--split", "eval", "--json"),
    }


@pytest.fixture(scope="module")
def later(runs: dict[str, Run], asked: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Runs with a warm start on a larger corpus, and with a search."""
    assert asked
    root = runs["better"].root
    grown = tmp_path_factory.mktemp("corpus") / "tale.txt"
    text = next((ROOT / "components" / "sample").glob("*.txt")).read_text(encoding="utf-8")
    grown.write_text(text[:10_000].replace(" ", f" {NEW} ", 50) + text, encoding="utf-8")
    return {
        "grown": run(root, corpus=grown, **GROWN),
        "grown again": run(root, corpus=grown, **GROWN),
        # A fresh start, because the Tuner depends on how the frameworks are imported.
        "tuned": run(root, python=sys.executable, **SEARCH),
    }


@dataclass(frozen=True)
class Cleaned:
    """A root after `clean --keep 1`: the list of its runs before, what was deleted, and a run after it."""

    listed: list[dict[str, Any]]
    deleted: list[dict[str, Any]]
    again: Run


@pytest.fixture(scope="module")
def cleaned(later: dict[str, Run]) -> Cleaned:
    root = later["tuned"].root

    def ask(*arguments: str) -> Any:
        command = [warm.python(), "-m", "pipeline", *arguments, "--json", "--root", str(root)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return Cleaned(ask("runs"), ask("clean", "--keep", "1")["deleted"], run(root, **SEARCH))


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
        "DriftCheck",  # it compares with another version
        "Trainer",
        "LastBlessed",
        "Evaluator",
        "InfraCheck",
        "Pusher",
    }


@pytest.mark.parametrize(
    ("name", "decision"),
    [("first", "Blessed; version 1 pushed"), ("worse", "Not blessed"), ("better", "version 3 pushed")],
)
def test_report_of_a_run_names_the_decision_and_shows_what_was_measured(
    runs: dict[str, Run], name: str, decision: str
) -> None:
    made = runs[name]
    page = Path(made.summary["report"]).read_text(encoding="utf-8")
    assert decision in page
    assert made.summary["report"] in made.output.replace("\n", "").replace(" ", "")
    for reason in made.summary["reasons"]:
        assert reason in page
    headings = {part.partition("</h2>")[0] for part in page.split("<h2>")[1:]}
    shown = {"Evaluation", "Learning curve", "Hardest passages", "Data", "Vocabulary", "Components"}
    assert headings == shown | {"From the text to the version"} | ({"Samples"} if name == "first" else set())
    assert ("the last blessed model." in page) == (name != "first")


def test_better_model_is_pushed_next_to_the_old_one(runs: dict[str, Run]) -> None:
    better = runs["better"]
    assert better.code == 0, better.output
    assert better.summary["pushed_version"] == "3"
    assert better.versions == ["2", "3"]
    assert better.summary["perplexity"] < better.summary["baseline_perplexity"]
    assert_same_perplexity(better.summary["baseline_perplexity"], runs["first"].summary["perplexity"])


def test_pushed_model_and_its_checkpoint_generate_without_a_server(runs: dict[str, Run], asked: dict[str, str]) -> None:
    assert len(asked["generate"]) >= 120
    assert asked["generate --checkpoint"] == asked["generate"]
    score = json.loads(asked["score"])
    assert score["predicted"] == runs["better"].summary["eval_chars"]
    assert_same_perplexity(score["perplexity"], runs["better"].summary["perplexity"])


def test_output_has_a_line_for_each_component_a_table_and_a_sample(runs: dict[str, Run]) -> None:
    output = runs["first"].output
    for name in COMPONENTS:
        assert f"+ {name}" in output
    for word in ("perplexity", "bits per character", "threshold", "baseline", "blessed", "characters at temperature"):
        assert word in output
    assert "WARNING" not in output
    assert "Traceback" not in output


def test_gap_and_copies_of_the_pushed_model_are_reported(runs: dict[str, Run]) -> None:
    first = runs["first"]
    measured = first.summary["generalization"]
    assert math.exp(measured["eval_nats"]) == pytest.approx(first.summary["perplexity"], rel=0.2)
    assert abs(measured["eval_nats"] - measured["train_nats"]) < 0.5
    assert measured["generated_chars"] >= 20_000
    assert 1 >= measured["copied"]["20"] >= measured["copied"]["50"] >= measured["copied"]["100"] >= 0
    sample = (ROOT / "components" / "sample" / "the_lamp_at_harrow_quay.txt").read_text(encoding="utf-8")
    assert measured["longest_copy"] in sample
    assert len(measured["longest_copy"]) > 8
    assert f"{len(measured['longest_copy'])} characters" in first.output


def first_loss(done: Run) -> float:
    found = re.search(r"first loss ([0-9.]+) nats", done.output)
    assert found, done.output
    return float(found[1])


def test_larger_corpus_starts_from_the_last_blessed_model(runs: dict[str, Run], later: dict[str, Run]) -> None:
    first, grown = runs["first"], later["grown"]
    assert "warm start" not in first.output
    assert first_loss(first) > 3.0, "the frequencies of the characters"
    assert "warm start from version 3" in grown.output
    assert first_loss(grown) < 2.8, "a model trained on nearly all of the text"
    assert grown.summary["pushed_version"] == "4", grown.output
    model = tf.saved_model.load(str(grown.root / "serving" / "char_rnn" / "4"))
    assert ord(NEW) in model.code_points.numpy()


def test_second_identical_run_with_a_warm_start_is_cached(later: dict[str, Run]) -> None:
    again = later["grown again"]
    assert again.code == 0, again.output
    assert again.how() == dict.fromkeys(COMPONENTS, "cached")
    assert again.versions == later["grown"].versions


def test_trainer_uses_the_best_values_of_the_search(later: dict[str, Run]) -> None:
    tuned = later["tuned"]
    assert tuned.how()["Tuner"] == "executed", tuned.output
    assert re.search(r"trial 0+ of 2", tuned.output)
    versions = (tuned.root / "pipeline" / "Trainer" / "model").iterdir()
    export = max(versions, key=lambda path: int(path.name)) / "Format-Serving"
    units = np.asarray(tf.saved_model.load(str(export)).projection).shape[0]
    assert units == best_values(tuned.root)["model.units"]


def test_runs_are_listed_with_their_decisions(cleaned: Cleaned, runs: dict[str, Run]) -> None:
    listed = cleaned.listed[::-1]
    decisions = ["pushed 1", "served already 1", "pushed 2", "not blessed None", "pushed 3", "pushed 4"]
    assert [f"{one['decision']} {one['version']}" for one in listed[:6]] == decisions
    assert len(listed) == 8
    for one, made in zip(listed, runs.values()):
        assert one["perplexity"] == made.summary["perplexity"]
        assert set(one["cached"]) == {name for name, how in made.how().items() if how == "cached"}
    assert (listed[0]["corpus"], listed[0]["network"], listed[0]["steps"]) == ("sample", "gru 1x64", 200)
    assert "above the threshold 9" in " ".join(listed[3]["reasons"])


def test_clean_deletes_what_the_newest_run_does_not_need(cleaned: Cleaned, runs: dict[str, Run]) -> None:
    kinds = {item["what"] for item in cleaned.deleted}
    assert {"checkpoints", "Trainer/model", "Evaluator/evaluation"} <= kinds
    # The last blessed model's lineage stays, and so does that of the newest run: both texts are in use.
    assert not {"corpora", "Transform/transform_graph"} & kinds
    assert not any(Path(item["path"]).exists() for item in cleaned.deleted)
    assert not Path(runs["worse"].summary["model"]).exists()


def test_second_identical_search_is_cached_after_a_clean(cleaned: Cleaned, later: dict[str, Run]) -> None:
    again = cleaned.again
    assert again.how() == dict.fromkeys(COMPONENTS | {"Tuner"}, "cached"), again.output
    assert again.summary["perplexity"] == later["tuned"].summary["perplexity"]
    assert again.versions == later["tuned"].versions


@pytest.mark.slow
def test_notebook_with_the_views_of_a_run_is_executed(cleaned: Cleaned, tmp_path: Path) -> None:
    command = [warm.python(), "-m", "pipeline", "notebook", "--root", str(cleaned.again.root)]
    done = subprocess.run([*command, "--output", str(tmp_path / "views.ipynb")], cwd=ROOT, check=False)
    assert done.returncode == 0
    notebook = nbformat.read(tmp_path / "views.ipynb", as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    shown = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("text/html" in data for data in shown) == 4, "statistics, schema, and the anomalies of two splits"
    assert any("application/vnd.jupyter.widget-view+json" in data for data in shown), "the figures by document"


def best_values(root: Path) -> dict[str, Any]:
    (found,) = (root / "pipeline" / "Tuner").rglob("best_hyperparameters.txt")
    return dict(json.loads(found.read_text())["values"])
