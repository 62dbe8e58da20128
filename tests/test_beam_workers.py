"""Beam with workers that are other processes, in a directory with the image's files only; some are killed.

The local runner on an engine (`beam_engine.py`) with two workers of Beam's own worker pool, against the run of
`undisturbed.py`. Flink, Spark and Dataflow speak the same protocol; they are not here.
"""

import functools
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0 import statistics_pb2
from tensorflow_model_analysis.proto import metrics_for_slice_pb2

from tests import numeric, ports, undisturbed, warm

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[1]
# In the jobs of CorpusExampleGen and Transform, a worker is killed after this bundle. Transform has
# published its graph then, which it cannot do twice: the job fails, and the component is executed again.
BUNDLES = {1: 9, 3: 40}
_LIMIT_SECONDS = 300.0


class Engine:
    """The processes of an engine: a job service, a worker pool, and the workers that the pool starts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.started: list[subprocess.Popen[bytes]] = []
        self._pool_port = ports.free()

    def start(self) -> None:
        image = self.directory / "image"
        _copy_image(image)
        python = warm.python()
        # The pool starts `python`; the workers import this project's packages from the image's directory.
        path = f"{Path(python).parent}:{os.environ['PATH']}"
        pool = ["-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={self._pool_port}"]
        self._start([python, str(ROOT / "tests" / "beam_engine.py"), str(self.directory)], self.directory)
        # Not the warm Python, whose children are those of its server.
        self._start([sys.executable, *pool], image, PATH=path, PYTHONPATH=str(image))
        _wait_for(lambda: (self.directory / "port").exists())
        _wait_for(self._pool_listens)

    def beam_args(self) -> str:
        service = (self.directory / "port").read_text()
        return json.dumps(
            [
                "--runner=PortableRunner",
                f"--job_endpoint=127.0.0.1:{service}",
                "--environment_type=EXTERNAL",
                f"--environment_config=127.0.0.1:{self._pool_port}",
            ]
        )

    def hold(self, job: int) -> None:
        """Let a job wait for the loss of a worker."""
        (self.directory / "hold").write_text(f"{job} {BUNDLES[job]}")

    def is_held(self, job: int, run: subprocess.Popen[str]) -> bool:
        """Return whether a job waits for the loss of a worker, or the run has ended before that."""
        return f"job {job} holds" in self.events() or run.poll() is not None

    def events(self) -> str:
        file = self.directory / "events"
        return file.read_text() if file.exists() else ""

    def kill_a_worker(self) -> None:
        """Kill the newest worker with SIGKILL; older ones may be those of a job that has ended."""
        os.kill(max(self.workers())[1], signal.SIGKILL)

    def workers(self) -> list[tuple[int, int]]:
        """Return number and process id of each worker."""
        threads = Path(f"/proc/{self.started[-1].pid}/task").glob("*/children")
        children = [child for path in threads for child in path.read_text().split()]
        found = [
            (re.search(r'"worker_(\d+)"', Path(f"/proc/{child}/cmdline").read_text()), child) for child in children
        ]
        return [(int(match[1]), int(child)) for match, child in found if match]

    def stop(self) -> None:
        for process in reversed(self.started):
            process.kill()
            process.wait()

    def _start(self, command: list[str], directory: Path, **variables: str) -> None:
        with (self.directory / "log").open("ab") as log:
            environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | variables
            process = subprocess.Popen(command, cwd=directory, env=environment, stdout=log, stderr=log)
        self.started.append(process)

    def _pool_listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._pool_port)) == 0


def _copy_image(directory: Path) -> None:
    """Copy what the Dockerfile copies, so that workers find nothing else of the repository."""
    directory.mkdir()
    for names in re.findall(r"(?m)^COPY (?!--)(.+) \S+$", (ROOT / "Dockerfile").read_text()):
        for name in names.split():
            if (ROOT / name).is_dir():
                shutil.copytree(
                    ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
                )
            else:
                shutil.copy(ROOT / name, directory / name)
    assert {"components", "transform", "pyproject.toml"} <= {path.name for path in directory.iterdir()}
    assert not (directory / "tests").exists()


def _wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def _start_run(corpus: Path, root: Path, *settings: str) -> subprocess.Popen[str]:
    # Not the repository's directory: what the workers import must not come from the working directory of the driver.
    return subprocess.Popen(
        undisturbed.command(corpus, root, *settings),
        cwd=root.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )


def _finish(run: subprocess.Popen[str], root: Path) -> dict[str, Any]:
    output, _ = run.communicate(timeout=_LIMIT_SECONDS)
    logs = "".join(path.read_text() for path in (root / "logs").iterdir())
    assert run.returncode == 0, f"{output}\n{logs[-20_000:]}"
    return undisturbed.summary(root)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    made = Engine(tmp_path_factory.mktemp("engine"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def roots(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Roots of a run without an engine, and of one that lost a worker in two Beam jobs."""
    reference, remote = undisturbed.run(), tmp_path_factory.mktemp("roots") / "remote"
    jobs = list(BUNDLES)
    engine.hold(jobs[0])
    run = _start_run(reference.corpus, remote, f"beam_args={engine.beam_args()}")
    for job, following in itertools.zip_longest(jobs, jobs[1:]):
        _wait_for(functools.partial(engine.is_held, job, run))
        assert run.poll() is None, run.communicate()
        if following:
            engine.hold(following)
        engine.kill_a_worker()
    got = _finish(run, remote)
    assert got["perplexity"] == pytest.approx(reference.summary["perplexity"], rel=numeric.relative(4))
    return reference.root, remote


def test_lost_workers_are_replaced_and_the_run_finishes(engine: Engine, roots: tuple[Path, Path]) -> None:
    events = engine.events().splitlines()
    assert [event for event in events if "lost" in event] == [f"job {job} lost a worker" for job in BUNDLES]


def _files(root: Path, pattern: str) -> dict[str, bytes]:
    """Return the contents of an artifact's files by path, in which N stands for the number of the execution.

    A lost attempt leaves temporary directories beside them.
    """
    files = [path for path in (root / "pipeline").glob(pattern) if path.is_file()]
    return {re.sub(r"/\d+/", "/N/", str(path.relative_to(root))): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    "pattern",
    [
        "ExampleValidator/anomalies/*/*/SchemaDiff.pb",
        "Transform/transform_graph/*/transform_fn/assets/*",
        "Transform/transform_graph/*/transformed_metadata/*",
        "Trainer/model/*/Format-Serving/variables/*",
        "Evaluator/blessing/*/*",
    ],
)
def test_artifact_is_that_of_the_local_runner_byte_by_byte(roots: tuple[Path, Path], pattern: str) -> None:
    expected, got = (_files(root, pattern) for root in roots)
    assert expected
    assert got == expected


def _statistics(content: bytes) -> list[str]:
    (dataset,) = statistics_pb2.DatasetFeatureStatisticsList.FromString(content).datasets
    # Mean and deviation come from sums in float64, which workers add in another order.
    features = [re.sub(r"\d+\.\d+", lambda found: f"{float(found[0]):.6g}", str(one)) for one in dataset.features]
    return [str(dataset.num_examples), *features]


def _records(message: Any, compression: str, content: bytes) -> list[str]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        return [str(message.FromString(one.numpy())) for one in tf.data.TFRecordDataset(file.name, compression)]


_EXAMPLES = functools.partial(_records, tf.train.Example, "GZIP")
_METRICS = functools.partial(_records, metrics_for_slice_pb2.MetricsForSlice, "")


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        ("CorpusExampleGen/examples/*/Split-train/*", _EXAMPLES),
        ("CorpusExampleGen/examples/*/Split-eval/*", _EXAMPLES),
        ("StatisticsGen/statistics/*/Split-train/FeatureStats.pb", _statistics),
        ("StatisticsGen/statistics/*/Split-eval/FeatureStats.pb", _statistics),
        ("Transform/transformed_examples/*/Split-train/*", _EXAMPLES),
        ("Transform/transformed_examples/*/Split-eval/*", _EXAMPLES),
        ("Evaluator/evaluation/*/metrics-*", _METRICS),
    ],
)
def test_artifact_has_the_parts_of_the_local_runners_in_any_order(
    roots: tuple[Path, Path], pattern: str, parts: Callable[[bytes], list[str]]
) -> None:
    expected, got = (
        sorted(part for content in _files(root, pattern).values() for part in parts(content)) for root in roots
    )
    assert len(expected) > 1
    assert got == expected
