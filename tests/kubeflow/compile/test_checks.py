"""Settings that a backend does not support are reported before the compiler's slow imports."""

import pytest

from components.errors import UserError
from kubeflow.compile.compiler import compile_pipeline
from pipeline.config import overrides

VERTEX = ["cluster.root=gs://b/state", "cluster.serving_dir=gs://b/serving", "cluster.pipeline_root=gs://b/runs"]


@pytest.mark.parametrize(
    ("backend", "settings", "reason"),
    [
        ("kfp", ["cluster.image=none"], "container image.*Dockerfile"),
        ("kfp", ["cluster.root=state"], "absolute path where a volume is mounted"),
        ("kfp", ["cluster.serving_dir=s3://b/serving"], "TensorFlow opens no other object store"),
        ("kfp", ['beam_args=["--runner=DaskRunner"]'], "Dask runner cannot run this pipeline"),
        ("kfp", ['beam_args=["--runner=DataflowRunner"]'], "Beam workers on other machines"),
        ("kfp", ['beam_args=["--runner", "FlinkRunner"]', VERTEX[2]], "staged corpus.*FlinkRunner, cluster.root=/mnt"),
        ("kfp", ["cluster.root=/"], "absolute path where a volume is mounted"),
        ("kfp", ["cluster.root=gs://"], "absolute path where a volume is mounted"),
        ("kfp", ["cluster.root=/models"], "two volumes with different paths"),
        ("kfp", ["cluster.pipeline_root=/mnt/runs"], "folder in the backend's object store"),
        ("kfp", ["training.strategy=mirrored", "training.logical_cpus=2"], "local machine"),
        ("vertex", [], "Vertex AI mounts no volumes"),
        ("vertex", VERTEX[:2], "bucket for the artifacts"),
        (
            "vertex",
            [*VERTEX, 'cluster.pods.Trainer.node_selector=["pool=gpu"]'],
            "neither node selectors nor tolerations.*cluster.pods.Trainer",
        ),
    ],
)
def test_unsupported_setting_is_reported_before_compiling(backend: str, settings: list[str], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        compile_pipeline(overrides.load("quick", ["cluster.image=i:1", *settings]), backend)
