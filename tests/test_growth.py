"""Warm start on a larger corpus and hyperparameter search, in the real pipeline.

All runs share one root: half of a text, a warm start on the entire text, the same again, and two searches. Text and
model are small; those of a search have at least 256 units. TF Serving is not used here.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.test_e2e import ROOT, Run, run

pytestmark = pytest.mark.e2e
NEW = "\u2014"  # a character that is not in the first half
SETTINGS: dict[str, Any] = {
    "corpus__eval_fraction": 0.1,
    "training__warm_start": "true",
    "training__steps": 120,
    "training__eval_every": 60,
    "evaluation__threshold": 30,
}
SEARCH: dict[str, Any] = {
    **SETTINGS,
    "training__warm_start": "false",
    "training__batch_size": 8,
    "training__steps": 20,
    "training__eval_every": 20,
    "tuner__enabled": "true",
    "tuner__trials": 2,
    "tuner__steps": 10,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    root = tmp_path_factory.mktemp("root")
    corpus = tmp_path_factory.mktemp("corpus") / "tale.txt"
    text = next((ROOT / "components" / "sample").glob("*.txt")).read_text(encoding="utf-8")[:40_000].replace(NEW, "-")
    corpus.write_text(text[: len(text) // 2], encoding="utf-8")
    first = run(root, corpus=corpus, **SETTINGS)
    corpus.write_text(text.replace(" ", f" {NEW} ", 50), encoding="utf-8")
    return {
        "first": first,
        "grown": run(root, corpus=corpus, **SETTINGS),
        "same": run(root, corpus=corpus, **SETTINGS),
        # A fresh start, because the Tuner depends on how the frameworks are imported.
        "tuned": run(root, corpus=corpus, python=sys.executable, **SEARCH),
        "tuned again": run(root, corpus=corpus, **SEARCH),
    }


def first_loss(done: Run) -> float:
    found = re.search(r"first loss ([0-9.]+) nats", done.output)
    assert found, done.output
    return float(found[1])


def test_larger_corpus_starts_from_the_last_blessed_model(runs: dict[str, Run]) -> None:
    first, grown = runs["first"], runs["grown"]
    assert first.summary["pushed_version"] == "1", first.output
    assert "warm start" not in first.output
    assert first_loss(first) > 3.5
    assert "warm start from version 1" in grown.output
    assert first_loss(grown) < 2.8, "a model trained on half of the text"
    assert grown.summary["pushed_version"] == "2", grown.output
    model = tf.saved_model.load(str(grown.root / "serving" / "char_rnn" / "2"))
    assert ord(NEW) in model.code_points.numpy()


def test_second_identical_run_is_cached(runs: dict[str, Run]) -> None:
    same = runs["same"]
    assert same.code == 0, same.output
    assert set(same.how().values()) == {"cached"}
    assert same.versions == ["1", "2"]


def test_trainer_uses_the_best_values_of_the_search(runs: dict[str, Run]) -> None:
    tuned = runs["tuned"]
    assert tuned.how()["Tuner"] == "executed", tuned.output
    assert re.search(r"trial 0+ of 2", tuned.output)
    best = best_values(tuned.root)
    versions = (tuned.root / "pipeline" / "Trainer" / "model").iterdir()
    export = max(versions, key=lambda path: int(path.name)) / "Format-Serving"
    units = np.asarray(tf.saved_model.load(str(export)).projection).shape[0]
    assert units == best["model.units"]


def test_second_identical_search_is_cached(runs: dict[str, Run]) -> None:
    again = runs["tuned again"]
    assert again.how()["Tuner"] == again.how()["Trainer"] == "cached", again.output
    assert again.summary["perplexity"] == runs["tuned"].summary["perplexity"]


def best_values(root: Path) -> dict[str, Any]:
    (found,) = (root / "pipeline" / "Tuner").rglob("best_hyperparameters.txt")
    return dict(json.loads(found.read_text())["values"])
