"""Implementations in separate processes, at a size that takes seconds."""

import math
from typing import Any

import pytest

from benchmarks import batches, corpus, machine
from benchmarks.workers import Failed, Worker
from pipeline.config import overrides
from tests import warm

pytestmark = pytest.mark.integration

SMALL = ["model.units=8", "model.embedding=4", "training.batch_size=4", "training.sequence_length=10"]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    directory = tmp_path_factory.mktemp("job")
    (directory / "text.txt").write_text("abcdefghij" * 300)
    config = overrides.load("quick", [*SMALL, "training.learning_rate=0.05"]).model_dump()
    config["training"]["warmup_steps"] = 0
    made = batches.make(config, corpus.load(str(directory / "text.txt")), 45, directory / "batches")
    return made.message(config, threads=1, total_steps=made.total_steps)


def learns(worker: Worker) -> None:
    first = worker.ask({"steps": 2})
    assert first["steps"] == 2
    assert first["loss"] == pytest.approx(math.log(11), abs=0.3)
    assert first["wall"] > 0.0
    assert first["cpu"] > 0.0
    worker.ask({"steps": 38})
    assert worker.ask({"steps": 2})["loss"] < first["loss"] - 0.5


def test_pytorch_learns(job: dict[str, Any]) -> None:
    python = machine.find_torch(None)
    if python is None:
        pytest.skip("torch is not installed: uv run --group dev --group peers pytest")
    with Worker("pytorch", {**job, "autocast": False, "compile": False}, python) as worker:
        learns(worker)


def test_speed_of_products_is_measured() -> None:
    with Worker("matmul", {"library": "tensorflow", "threads": 1}, warm.python()) as worker:
        speed = worker.ask({"shape": [64, 64, 64], "dtype": "float32", "seconds": 0.05})
    assert speed["per_second"] > 1e6
    assert speed["per_cpu_second"] > 1e6


def test_failed_job_is_reported_with_its_reason() -> None:
    with pytest.raises(Failed, match="KeyError: 'abacus'"):
        Worker("matmul", {"library": "abacus", "threads": 1})


def test_program_that_cannot_start_is_reported() -> None:
    with pytest.raises(Failed, match="ended with code 1: .*No module named"):
        Worker("nobody", {})
