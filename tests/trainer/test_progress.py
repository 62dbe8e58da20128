import logging
import math
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.util import event_pb2

from trainer.progress import LOGGER, Reporter, duration

pytestmark = pytest.mark.integration


class Clock:
    """Replaces the module `time`: returns the set time, in seconds from its creation."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.start = time.monotonic()
        self.now = 0.0
        monkeypatch.setattr("trainer.progress.time", SimpleNamespace(monotonic=lambda: self.start + self.now))


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, LOGGER.name)
    return caplog


def events(directory: Path) -> dict[str, list[tuple[int, Any]]]:
    """(step, value) by tag, of all that was written for TensorBoard."""
    found: dict[str, list[tuple[int, Any]]] = {}
    for path in directory.glob("events.*"):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = event_pb2.Event.FromString(record)
            for value in event.summary.value:
                content = tf.make_ndarray(value.tensor)
                found.setdefault(value.tag, []).append((event.step, content.item()))
    return found


def test_line_has_step_loss_perplexity_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    reporter = Reporter(total_steps=1_012, log_every=20, writer=None)
    clock = Clock(monkeypatch)
    reporter.step(1, math.log(8), 999_999)  # its time holds the tracing, so its characters do not count either
    clock.now = 5.0
    reporter.step(2, math.log(8), 6_000)
    clock.now = 10.0
    reporter.step(3, math.log(8), 4_000)
    expected = "step 3/1,012  loss 2.079 nats  perplexity 8.00  1,000 characters/s  1:24 h left"  # 1,009 times 5 s
    assert reporter.line(3) == expected


def test_speed_of_a_resumed_run_counts_its_own_steps_only(monkeypatch: pytest.MonkeyPatch) -> None:
    reporter = Reporter(total_steps=1_000, log_every=20, writer=None)
    clock = Clock(monkeypatch)
    for step, now in ((901, 0.0), (902, 2.0)):
        clock.now = now
        reporter.step(step, 1.0, 100)
    assert reporter.line(902).endswith("  50 characters/s  3:16 left")


def test_first_line_has_no_speed() -> None:
    reporter = Reporter(total_steps=10, log_every=20, writer=None)
    reporter.step(1, 0.0, 100)
    assert reporter.line(1) == "step 1/10  loss 0.000 nats  perplexity 1.00"


def test_loss_of_a_line_is_smoothed() -> None:
    reporter = Reporter(total_steps=10, log_every=20, writer=None)
    for step, loss in enumerate((3.0, 1.0, 1.0), 1):
        reporter.step(step, loss, 100)
    assert "loss 2.620 nats" in reporter.line(3)  # 0.9 * (0.9 * 3 + 0.1) + 0.1


def test_debug_lines_twice_a_second_and_info_lines_twice_a_minute(
    monkeypatch: pytest.MonkeyPatch, lines: pytest.LogCaptureFixture
) -> None:
    reporter = Reporter(total_steps=100, log_every=20, writer=None)
    clock = Clock(monkeypatch)
    levels: dict[float, list[int]] = {}
    for step, now in enumerate((1.0, 1.4, 1.6, 2.0, 2.2, 40.0, 40.4, 40.6, 69.0, 71.0), 2):
        lines.clear()
        clock.now = now
        reporter.step(step, 1.0, 100)
        levels[now] = [record.levelno for record in lines.records]
    assert [now for now, seen in levels.items() if seen == [logging.DEBUG]] == [1.0, 1.6, 2.2, 40.6, 69.0]
    assert [now for now, seen in levels.items() if seen == [logging.INFO]] == [40.0, 71.0]


def test_first_loss_is_logged_immediately(lines: pytest.LogCaptureFixture) -> None:
    Reporter(total_steps=10, log_every=20, writer=None).step(1, 4.19, 100)
    assert "first loss 4.190 nats" in lines.messages


def test_scalars_are_written_every_log_every_steps(tmp_path: Path) -> None:
    writer = tf.summary.create_file_writer(str(tmp_path))
    reporter = Reporter(total_steps=10, log_every=4, writer=writer)
    for step in range(1, 10):
        reporter.step(step, math.log(step), 100)
    writer.close()
    found = events(tmp_path)
    assert set(found) == {"train/loss_nats", "train/perplexity"}
    for tag, expected in (("train/loss_nats", math.log), ("train/perplexity", float)):
        assert [step for step, _ in found[tag]] == [1, 4, 8]
        assert [value for _, value in found[tag]] == pytest.approx([expected(1), expected(4), expected(8)])


def test_evaluations_and_samples_are_written_and_logged(tmp_path: Path, lines: pytest.LogCaptureFixture) -> None:
    reporter = Reporter(total_steps=4_000, log_every=4, writer=tf.summary.create_file_writer(str(tmp_path)))
    reporter.evaluation(2_000, math.log(5), best=True, sample="ROMEO:\nO, *no*!")
    reporter.evaluation(4_000, math.log(6), best=False, sample=None)
    found = events(tmp_path)  # written at once: a killed run has shown what it knew
    assert [value for _, value in found["eval/perplexity"]] == pytest.approx([5, 6])
    assert [step for step, _ in found["eval/loss_nats"]] == [2_000, 4_000]
    assert found["sample"] == [(2_000, b"```\nROMEO:\nO, *no*!\n```")]
    assert lines.messages == [
        "step 2,000  eval loss 1.6094 nats  perplexity 5.000  best so far",
        "step 4,000  eval loss 1.7918 nats  perplexity 6.000",
    ]


def test_worker_without_a_writer_writes_nothing_for_tensorboard(tmp_path: Path) -> None:
    reporter = Reporter(total_steps=10, log_every=1, writer=None)
    with tf.summary.create_file_writer(str(tmp_path)).as_default(0):
        reporter.step(1, 1.0, 100)
        reporter.evaluation(1, 1.0, best=True, sample="a")
    assert events(tmp_path) == {}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (9.4, "0:09"), (59.6, "1:00"), (61, "1:01"), (3599, "59:59"), (3600, "1:00 h"), (36_061, "10:01 h")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
