"""The search and the table of `benchmarks/corpora.py`, without a training."""

import random
from pathlib import Path

import pytest

from benchmarks import corpora
from pipeline.config import overrides

pytestmark = pytest.mark.integration


def test_every_member_of_the_family_is_a_valid_configuration_of_about_the_wanted_length() -> None:
    chance = random.Random(1)
    for _ in range(20):
        settings, rows = corpora.draw(chance, 32_000)
        training = overrides.load("quick", settings(rows)).training
        assert 16_000 <= rows <= 64_000
        assert int(training.steps or 0) * int(training.batch_size) == pytest.approx(rows, abs=64)
        assert training.max_minutes is None


def test_row_compares_the_default_with_the_best_of_the_search() -> None:
    default = {"steps": 700, "cpu": 130.0, "loss": 1.32, "after": 0.1, "nats": {"windows of 256": 1.4}}
    line = corpora.row("play", default, [{"loss": 1.35}, {"loss": 1.3}], 1.7)
    assert line.split() == ["play", "700", "130", "1.3200", "1.3000", "2", "1.015", "10%", "yes", "(1.700)"]


def test_only_the_results_of_the_same_split_are_reused() -> None:
    assert corpora.Text("a", Path("a")).job == {"documents": "file"}  # as in files of results without held_out
    assert corpora.Text("a", Path("a"), "line", 9).job == {"documents": "line", "held_out": 9}


def test_excerpt_is_of_the_text_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "shakespeare.txt").write_text("abc\n" * 10_000)
    found = corpora.built_in(tmp_path, tmp_path)
    names = {text.name: text for text in (next(found) for _ in range(3))}
    assert list(names) == ["play", "shakespeare.txt", "20 KB excerpt"]
    assert names["20 KB excerpt"].path.stat().st_size == corpora.EXCERPT
