"""The time of a training adds up over its attempts; its facts stay next to it."""

from pathlib import Path

import pytest

from components.models import training

pytestmark = pytest.mark.integration


def test_time_adds_up_over_attempts_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 107.5, 200.0, 202.0])
    cpu = iter([1.0, 11.0, 0.5, 4.5])
    monkeypatch.setattr(training.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(training.time, "process_time", lambda: next(cpu))
    assert training.read(str(tmp_path)) is None
    with pytest.raises(KeyboardInterrupt), training.timed(str(tmp_path)):
        raise KeyboardInterrupt
    with training.timed(str(tmp_path)):
        pass
    training.describe(str(tmp_path), steps=20, frequencies={"\n": 3, "\u03a9": 1}, unknown=2)
    assert training.read(str(tmp_path)) == training.Training(
        seconds=9.5, cpu_seconds=14.0, steps=20, frequencies={"\n": 3, "\u03a9": 1}, unknown=2
    )


def test_facts_of_a_later_release_are_ignored(tmp_path: Path) -> None:
    (tmp_path / training.NAME).write_text('{"steps": 7, "energy": 1.5}')
    assert training.read(str(tmp_path)) == training.Training(steps=7)
