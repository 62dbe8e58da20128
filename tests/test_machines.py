"""`local_runner.py` on two machines that share a root: two processes on loopback, with the TF_CONFIG of each."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests import numeric, warm
from tests.pipeline.machines.doubles import free_addresses

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "components" / "sample" / "the_lamp_at_harrow_quay.txt"
SECONDS = 300.0
STEPS, RATE = 12, 0.01
SETTINGS = {
    "model.units": 24,
    "model.embedding": 8,
    "training.batch_size": 8,
    "training.steps": STEPS,
    "training.eval_every": 6,
    # As in tests/trainer/test_workers.py: the size of a gradient matters, and not only its sign.
    "training.epsilon": 0.01,
    "training.learning_rate": RATE,
    "training.precision": "float32",
    "training.sample_chars": 0,
    "training.measured_chars": 0,
    "model.output_dropout": 0.0,
    "model.recurrent_dropout": 0.0,
    "evaluation.threshold": 200.0,
}
# A chief whose pipeline ends with an error as soon as the worker has joined.
FAILING_CHIEF = """
import os, sys, time
import local_runner
from components.errors import UserError
from pipeline import local

def run(config, places, screen, staged, train):
    while not train.__self__._admission._workers:
        time.sleep(0.01)
    raise UserError(f"Received by the components: {os.environ.get('TF_CONFIG')}")

local.run = run
sys.exit(local_runner.main(sys.argv[1:]))
"""

# A run that ends with an error as soon as the model is trained.
TRAINING_ONLY = """
import sys
import local_runner
import tensorflow as tf
from components.errors import UserError
from components.release import infra_check
from serving.graph import signatures

signatures.save = tf.saved_model.save  # the weights without signatures, which take seconds

def check(model):
    raise UserError("Received: a model")

infra_check.check = check
sys.exit(local_runner.main(sys.argv[1:]))
"""


@dataclass(frozen=True)
class Ended:
    """Exit code and terminal of a program."""

    code: int
    output: str


class Machine:
    """One machine with a cluster of a chief and a worker; a position of None trains alone."""

    def __init__(self, root: Path, addresses: Sequence[str] = (), position: int | None = None) -> None:
        environment = {key: value for key, value in os.environ.items() if key != "TF_CONFIG"}
        if position is not None:
            task = {"type": ("chief", "worker")[position], "index": 0}
            cluster = {"chief": [addresses[0]], "worker": [addresses[1]]}
            environment["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
        self._environment, self._root = environment, root
        self._summary = root.with_name(f"{root.name}.json")
        self._corpus = root.with_name("play.txt")
        self._corpus.write_text(SAMPLE.read_text()[:20_000])

    def start(self, *program: str, python: str = "", settings: dict[str, Any] = SETTINGS) -> "Machine":
        given = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        command = [python or warm.python(), *(program or ("local_runner.py",)), "--corpus", str(self._corpus), *given]
        command += ["--root", str(self._root), "--summary", str(self._summary)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return self

    def end(self) -> Ended:
        try:
            output = self.process.communicate(timeout=SECONDS)[0]
        finally:
            self.process.kill()
        return Ended(self.process.returncode, output)

    def summary(self) -> dict[str, Any]:
        """The result that the chief has written."""
        return dict(json.loads(self._summary.read_text()))


def run(root: Path) -> tuple[Ended, Ended, dict[str, Any]]:
    """Run the same command on chief and worker."""
    addresses = free_addresses(2)
    chief, worker = (Machine(root, addresses, position).start() for position in range(2))
    return chief.end(), worker.end(), chief.summary()


def executed(summary: dict[str, Any]) -> list[str]:
    return [name for name, component in summary["components"].items() if component["how"] == "executed"]


def weights(model: str) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(os.path.join(model, "variables", "variables"))
    names = [name for name in reader.get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE")]
    return {name: reader.get_tensor(name) for name in names}


def test_two_machines_train_the_model_of_one_and_share_its_cache(tmp_path: Path) -> None:
    root = tmp_path / "root"
    chief, worker, summary = run(root)
    assert (chief.code, worker.code) == (0, 0), chief.output + worker.output
    for ended in (chief, worker):
        assert "MultiWorkerMirroredStrategy, 2 processes" in ended.output
    assert "has ended: perplexity " in worker.output
    assert "version 1 (pushed)" in worker.output
    trained = weights(summary["model"])

    # The same command again.
    chief, worker, summary = run(root)
    assert (chief.code, worker.code) == (0, 0), chief.output + worker.output
    assert executed(summary) == []
    assert "has ended without training, because its result of an earlier run was reused: perplexity " in worker.output

    # One machine trains again, from the same examples.
    shutil.rmtree(root / "checkpoints")
    shutil.rmtree(root / "pipeline" / "Trainer" / "model")
    ended = Machine(root).start("-c", TRAINING_ONLY).end()
    assert "error: Received: a model" in ended.output
    assert "MultiWorker" not in ended.output
    (alone,) = (root / "pipeline" / "Trainer" / "model").glob("*/Format-Serving")
    # The bounds of tests/trainer/test_workers.py, for the same settings.
    rounding = numeric.relative(10 * 100)
    expected = weights(str(alone))
    assert trained.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(trained[name], value, rtol=rounding, atol=10 * STEPS * RATE * rounding, err_msg=name)


def test_error_before_training_ends_the_worker_and_components_see_no_cluster(tmp_path: Path) -> None:
    addresses = free_addresses(2)
    worker = Machine(tmp_path / "root", addresses, 1).start()
    chief = Machine(tmp_path / "root", addresses, 0).start("-c", FAILING_CHIEF).end()
    ended = worker.end()
    assert (chief.code, ended.code) == (2, 2), chief.output + ended.output
    assert "error: Received by the components: None" in chief.output
    assert f"The run on the chief {addresses[0]} has ended: Received by the components: None" in ended.output


def test_worker_without_a_chief_waits_until_it_is_interrupted(tmp_path: Path) -> None:
    addresses = free_addresses(2)
    worker = Machine(tmp_path / "root", addresses, 1).start(python=sys.executable)
    assert worker.process.stdout
    line = worker.process.stdout.readline()
    assert f"waiting for the chief {addresses[0]}: start the same command there (Ctrl-C to give up)" in line
    worker.process.send_signal(signal.SIGINT)
    ended = worker.end()
    assert ended.code == 130
    assert "interrupted" in ended.output
    assert "Traceback" not in ended.output
    assert not (tmp_path / "root").exists()
