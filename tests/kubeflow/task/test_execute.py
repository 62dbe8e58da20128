"""What a task imports: its own executor, and nothing that only other tasks need."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# Imported by the packages of all executors; a task without a use for them starts in half of the CPU-seconds.
HEAVY = (
    "IPython.terminal",
    "google.cloud.bigquery",
    "google.cloud.pubsub",
    "ipywidgets",
    "keras.src",
    "kfp.client",
    "kubernetes",
    "matplotlib",
    "nltk",
    "pandas",
    "pydantic",
    "scipy",
    "scipy.stats.distributions",
    "sklearn",
    "tensorflow_data_validation.api",
    "tensorflow_model_analysis.api",
    "tensorflow_transform",
    "tf_keras",
    "tfx.components.bulk_inferrer",
)
# Executors in an order in which each needs more than those before it, and what it adds.
EXECUTORS: dict[str, set[str]] = {
    "components.validate.anomaly_gate.AnomalyGate_Executor": set(),
    "components.release.pusher.Pusher_Executor": set(),
    "kubeflow.task.staging.Executor": set(),
    "tfx.components.statistics_gen.executor.Executor": {"pandas", "tensorflow_data_validation.api"},
    "components.validate.drift_check.DriftCheck_Executor": set(),
    "tfx.components.trainer.executor.GenericExecutor": set(),  # that of TFX 1.21 imports TFDV
    # TFMA's Keras needs a part of scipy.
    "components.evaluate.evaluator.Executor": {"scipy", "tensorflow_model_analysis.api", "tf_keras"},
}
IMPORT = """
import json, sys
from components import lean_imports
from kubeflow.task import execute, invocation, retry, run_parameters
heavy, executors = json.loads(sys.argv[1])
imported = {}
with lean_imports.one_task():
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor
    from tfx.utils import import_utils
    for path in executors:
        import_utils.import_class_by_path(path)
        imported[path] = [name for name in heavy if sys.modules.get(name)]
"""
# What the entrypoint left out works as soon as it is used.
USE = """
import keras, kfp, IPython, scipy.stats, tensorflow_data_validation, tfx.components, tensorflow_model_analysis as tfma
used = [keras.wrappers.__name__, kfp.Client, IPython.version_info, tensorflow_data_validation.__version__]
used += [tfx.components.Tuner, tfma.metrics.rouge.Rouge("rouge1"), tfma.view.render_slicing_metrics]
used += [tfma.utils.math_util.calculate_confidence_interval, scipy.stats.t.ppf(0.975, 9)]
print(json.dumps(imported))
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.integration
def test_task_imports_only_what_its_executor_needs_and_the_rest_can_still_be_used() -> None:
    done = run(IMPORT + USE, json.dumps([HEAVY, list(EXECUTORS)]))
    assert done.returncode == 0, done.stderr
    imported = {path: set(names) for path, names in json.loads(done.stdout.splitlines()[-1]).items()}
    allowed: set[str] = set()
    for path, added in EXECUTORS.items():
        allowed |= added
        assert imported[path] <= allowed, path


@pytest.mark.integration
@pytest.mark.parametrize(
    ("executor", "is_evaluator"),
    [("components.evaluate.evaluator.Executor", True), ("components.release.pusher.Pusher_Executor", False)],
)
def test_tfx_converts_the_blessing_of_its_evaluator_only(
    executor: str, is_evaluator: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor
    from tfx.utils import import_utils

    from kubeflow.task import execute

    monkeypatch.setattr(kubeflow_v2_run_executor, "evaluator_executor", kubeflow_v2_run_executor.evaluator_executor)
    ran = []
    monkeypatch.setattr(kubeflow_v2_run_executor, "main", ran.append)
    monkeypatch.setattr(execute.beam, "check_job_service", lambda _: None)
    options = argparse.Namespace(executor_class_path=executor)
    execute.run(options, ["--x"])
    assert ran == [(options, ["--x"])]
    imported = import_utils.import_class_by_path(executor)
    assert issubclass(imported, kubeflow_v2_run_executor.evaluator_executor.Executor) == is_evaluator
