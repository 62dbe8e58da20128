"""Two worker processes on loopback, each started with the Trainer's own arguments, against one process.

The Transform output is made here; the two processes find each other through `TF_CONFIG` under
MultiWorkerMirroredStrategy. Real machines with a network between them are not touched.
"""

import functools
import json
import os
import re
import socket
import subprocess
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
from tests import numeric, warm
from transform.preprocessing import preprocessing_fn

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "components" / "sample" / "the_lamp_at_harrow_quay.txt"
START = """
import json, logging, sys, types
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
from trainer.run import run_fn
run_fn(types.SimpleNamespace(**json.loads(sys.argv[1])))
"""
STEPS, RATE = 12, 0.01
SETTINGS = [
    "model.units=24",
    "model.embedding=8",
    "training.batch_size=8",
    f"training.steps={STEPS}",
    "training.eval_every=6",
]
# Large enough for Adam to notice the size of a gradient; or rounding would decide which way a weight moves whose
# gradient is next to nothing.
SETTINGS += ["training.epsilon=0.01", f"training.learning_rate={RATE}"]
SETTINGS += ["training.precision=float32", "training.checkpoint_seconds=1", "training.sample_chars=0"]


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


def _arguments(transformed: Path, out: Path, checkpoints: Path) -> str:
    from pipeline.config.overrides import load

    config = load("quick", SETTINGS).model_dump(mode="json")
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


def _start(arguments: str, tf_config: dict[str, Any] | None) -> "subprocess.Popen[str]":
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": str(ROOT)}
    environment.pop("TF_CONFIG", None)
    if tf_config:
        environment["TF_CONFIG"] = json.dumps(tf_config)
    command = [warm.python(), "-c", START, arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _losses(output: str) -> list[float]:
    return [float(loss) for loss in re.findall(r"eval loss ([\d.]+) nats  perplexity", output)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _weights(model: Path) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(str(model / "variables" / "variables"))
    names = [name for name in reader.get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE")]
    return {name: reader.get_tensor(name) for name in names}


def test_two_workers_learn_what_one_process_learns(transformed: Path, tmp_path: Path) -> None:
    workers = [f"127.0.0.1:{_free_port()}" for _ in range(2)]
    arguments = [_arguments(transformed, tmp_path / str(i), tmp_path / "shared") for i in range(2)]
    started = [
        _start(arguments[i], {"cluster": {"worker": workers}, "task": {"type": "worker", "index": i}}) for i in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=300)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], "\n".join(outputs)
    assert "MultiWorkerMirroredStrategy, 2 processes" in outputs[0]

    alone = _start(_arguments(transformed, tmp_path / "alone", tmp_path / "own"), None)
    output = alone.communicate(timeout=300)[0]
    assert alone.returncode == 0, output
    assert len(_losses(output)) == 2
    assert _losses(outputs[0]) == _losses(outputs[1])
    # Each step rounds its gradient, the longest way to which has ten operations for each of a window's 100 characters,
    # and moves a weight by no more than about the learning rate. Ten times that, as later steps build on earlier ones.
    rounding = numeric.relative(10 * 100)
    assert _losses(outputs[0]) == pytest.approx(_losses(output), abs=1e-4 + 3 * rounding)  # printed to four decimals
    # One export, by the chief; its weights are those of one process, to rounding.
    assert not (tmp_path / "1" / "model").exists()
    together, single = _weights(tmp_path / "0" / "model"), _weights(tmp_path / "alone" / "model")
    assert together.keys() == single.keys()
    for name, value in single.items():
        np.testing.assert_allclose(
            together[name], value, rtol=rounding, atol=10 * STEPS * RATE * rounding, err_msg=name
        )
