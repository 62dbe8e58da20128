"""Processes on loopback that train together, each started with the Trainer's own arguments, against one process.

The Transform output is made here; the processes find each other through `TF_CONFIG` under MultiWorkerMirroredStrategy.
Real machines with a network between them are not touched.
"""

import functools
import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform.beam as tft_beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import dataset_metadata
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from components.ingest.passages import cut
from tests import numeric, ports, warm
from transform.preprocessing import preprocessing_fn

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "components" / "sample" / "the_lamp_at_harrow_quay.txt"
START = """
import json, logging, os, signal, sys, types
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
import tensorflow as tf
from serving.graph import signatures
from trainer import export, run
from trainer.loop import Loop
arguments, kills, place = sys.argv[1:]
signatures.save = tf.saved_model.save  # the weights without signatures, which take seconds
def dies(function, point_of):
    def call(*arguments):
        point = point_of(arguments)
        marker = f"{place}/killed at {point}"
        if point in kills.split(",") and not os.path.exists(marker):
            open(marker, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)
    return call
Loop.train_steps = dies(Loop.train_steps, lambda arguments: f"step {arguments[1]}")
export.save = dies(export.save, lambda arguments: "export")
run.run_fn(types.SimpleNamespace(**json.loads(arguments)))
"""
STEPS, EVALUATED, RATE = 12, 4, 0.01
SETTINGS = [
    "model.units=24",
    "model.embedding=8",
    "training.batch_size=6",
    f"training.steps={STEPS}",
    f"training.eval_every={EVALUATED}",
    "training.steps_per_call=2",
]
# Large enough for Adam to notice the size of a gradient; or rounding would decide which way a weight moves whose
# gradient is next to nothing.
SETTINGS += ["training.epsilon=0.01", f"training.learning_rate={RATE}"]
SETTINGS += ["training.precision=float32", "training.checkpoint_seconds=1", "training.sample_chars=0"]
# Every replica has its own dropout masks.
SETTINGS += ["training.measured_chars=0", "model.output_dropout=0", "model.recurrent_dropout=0"]
# Each step rounds its gradient, the longest way to which has ten operations for each of a window's 100 characters, and
# moves a weight by no more than about the learning rate. Weights may differ by ten times that, as later steps build on
# earlier ones.
ROUNDING = numeric.relative(10 * 100)


@pytest.fixture(scope="module")
def transformed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What TFX's Transform leaves: the transform graph, and transformed examples of both splits."""
    folder = tmp_path_factory.mktemp("transform")
    schema = text_format.Parse((ROOT / "components/validate/schema/schema.pbtxt").read_text(), schema_pb2.Schema())
    metadata = dataset_metadata.DatasetMetadata(schema)
    rows: dict[str, list[dict[str, Any]]] = {"train": [], "eval": []}
    for passage in cut("play.txt", SAMPLE.read_text()[:20_000], 500, 0.1):
        row = {"text": passage.text.encode(), "document": b"play.txt", "position": passage.position}
        rows[passage.split].append({**row, "length": len(passage.text)})
    config = {"max_size": None, "min_count": 1}
    with beam.Pipeline(runner=FnApiRunner()) as pipeline, tft_beam.Context(temp_dir=str(folder / "temporary")):
        train = pipeline | "train" >> beam.Create(rows["train"])
        function = (train, metadata) | tft_beam.AnalyzeDataset(
            functools.partial(preprocessing_fn, custom_config=config)
        )
        _ = function | tft_beam.WriteTransformFn(str(folder / "graph"))
        for split, given in rows.items():
            data = pipeline | f"data {split}" >> beam.Create(given)
            batches, result = ((data, metadata), function) | f"transform {split}" >> tft_beam.TransformDataset(
                output_record_batches=True
            )
            _ = (
                batches
                | f"encode {split}" >> beam.FlatMap(_encode, beam.pvalue.AsSingleton(result.deferred_metadata))
                | f"write {split}" >> beam.io.WriteToTFRecord(str(folder / split / "part"), file_name_suffix=".gz")
            )
    return folder


def _encode(batch: Any, metadata: Any) -> list[bytes]:
    return RecordBatchToExamplesEncoder(metadata.schema).encode(batch[0])


def _arguments(transformed: Path, out: Path, checkpoints: Path, *settings: str) -> str:
    from pipeline.config.overrides import load

    config = load("quick", [*SETTINGS, *settings]).model_dump(mode="json")
    custom = {name: config[name] for name in ("model", "training", "export", "seed", "model_name")}
    custom |= {
        "checkpoints": str(checkpoints),
        "registry": str(checkpoints / "none"),
        "sources": "",
        "export_sources": "",
    }
    return json.dumps(
        {
            "custom_config": custom,
            "transform_graph_path": str(transformed / "graph"),
            "train_files": [str(transformed / "train" / "*")],
            "eval_files": [str(transformed / "eval" / "*")],
            "serving_model_dir": str(out / "model"),
            "model_run_dir": str(out / "run"),
            "hyperparameters": None,
        }
    )


class Process:
    """A process that is started again whenever it fails, as by the training operator."""

    def __init__(self, arguments: str, tf_config: dict[str, Any] | None, kills: str, place: Path) -> None:
        self._environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": str(ROOT)}
        self._environment.pop("TF_CONFIG", None)
        if tf_config:
            self._environment["TF_CONFIG"] = json.dumps(tf_config)
        self._command = [warm.python(), "-c", START, arguments, kills, str(place)]
        self.outputs: list[str] = []  # of each start

    def run(self, starts: int) -> int:
        """Return the exit code of the last start; one that failed is only repeated until there were so many."""
        for _ in range(starts):
            ran = subprocess.run(
                self._command,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=300,
                check=False,
            )
            self.outputs.append(ran.stdout)
            if ran.returncode == 0:
                break
        return ran.returncode


def _train(transformed: Path, place: Path, chiefs: int, workers: int, *kills: str) -> list[Process]:
    """Train with this number of processes.

    Args:
      kills: of each process, the points before which it is killed once, separated by commas; the chief comes first.
    """
    count = chiefs + workers
    addresses = [f"127.0.0.1:{ports.free()}" for _ in range(count)]
    jobs = {"chief": addresses[:chiefs], "worker": addresses[chiefs:]}
    tasks = [{"type": "chief", "index": 0}] * chiefs + [{"type": "worker", "index": i} for i in range(workers)]
    processes = [
        Process(
            _arguments(transformed, place / str(i), place / "shared"),
            {"cluster": {name: listed for name, listed in jobs.items() if listed}, "task": task} if count > 1 else None,
            kills[i] if kills else "",
            place / str(i),
        )
        for i, task in enumerate(tasks)
    ]
    for i in range(count):
        (place / str(i)).mkdir(parents=True)
    with ThreadPoolExecutor(count) as pool:
        codes = list(pool.map(lambda process: process.run(starts=8 if kills else 1), processes))
    assert codes == [0] * count, "\n".join(process.outputs[-1][-3000:] for process in processes)
    return processes


def _losses(output: str) -> list[float]:
    return [float(loss) for loss in re.findall(r"eval loss ([\d.]+) nats  perplexity", output)]


def _weights(model: Path) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(str(model / "variables" / "variables"))
    names = [name for name in reader.get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE")]
    return {name: reader.get_tensor(name) for name in names}


@pytest.fixture(scope="module")
def alone(transformed: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, np.ndarray], list[float]]:
    """Weights and eval losses of one process."""
    place = tmp_path_factory.mktemp("alone") / "run"
    (process,) = _train(transformed, place, 0, 1)
    return _weights(place / "0" / "model"), _losses(process.outputs[0])


def _assert_close(together: dict[str, np.ndarray], single: dict[str, np.ndarray]) -> None:
    assert together.keys() == single.keys()
    for name, value in single.items():
        np.testing.assert_allclose(
            together[name], value, rtol=ROUNDING, atol=10 * STEPS * RATE * ROUNDING, err_msg=name
        )


# tests/kubeflow/test_rehearsal_vertex.py trains on two workers without a chief, too.
@pytest.mark.slow
@pytest.mark.parametrize(("chiefs", "workers"), [(0, 2), (1, 2)])
def test_processes_together_learn_what_one_process_learns(
    transformed: Path, tmp_path: Path, alone: tuple[dict[str, np.ndarray], list[float]], chiefs: int, workers: int
) -> None:
    weights, losses = alone
    processes = _train(transformed, tmp_path / "run", chiefs, workers)
    assert f"MultiWorkerMirroredStrategy, {chiefs + workers} processes" in processes[0].outputs[0]
    assert len(losses) == STEPS / EVALUATED
    for process in processes:
        found = _losses(process.outputs[0])
        assert found == pytest.approx(losses, abs=1e-4 + 3 * ROUNDING)  # printed to four decimals
        assert found == _losses(processes[0].outputs[0])
    # One export, by the chief; its weights are those of one process, to rounding.
    assert [path.parent.name for path in (tmp_path / "run").glob("*/model")] == ["0"]
    _assert_close(_weights(tmp_path / "run" / "0" / "model"), weights)


def test_killed_chief_and_killed_worker_join_again_from_the_last_checkpoint(
    transformed: Path, tmp_path: Path, alone: tuple[dict[str, np.ndarray], list[float]]
) -> None:
    place = tmp_path / "run"
    first, second = f"step {EVALUATED + 2}", f"step {2 * EVALUATED + 2}"
    chief, worker = processes = _train(transformed, place, 1, 1, f"{second},export", first)
    _assert_close(_weights(place / "0" / "model"), alone[0])
    # Each time, the other process ended as well, and both started again.
    lost = "Another process of this training has ended or cannot be reached"
    assert sum(lost in output for output in chief.outputs) >= 1
    assert sum(lost in output for output in worker.outputs) >= 2
    for process in processes:
        assert "".join(process.outputs).count("first loss") == 1  # only the first start was at step 0
        losses = [loss for output in process.outputs for loss in _losses(output)]
        assert losses == pytest.approx(alone[1], abs=1e-4 + 3 * ROUNDING)


def test_processes_with_different_configurations_are_refused(transformed: Path, tmp_path: Path) -> None:
    addresses = [f"127.0.0.1:{ports.free()}" for _ in range(2)]
    processes = []
    for i, units in enumerate((24, 25)):
        arguments = _arguments(transformed, tmp_path / str(i), tmp_path / "shared", f"model.units={units}")
        tf_config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}}
        processes.append(Process(arguments, tf_config, "", tmp_path))
    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(lambda process: process.run(starts=1), processes))
    assert 0 not in codes
    assert any("do not begin alike" in process.outputs[0] for process in processes)
    assert not (tmp_path / "shared").exists()
