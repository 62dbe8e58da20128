"""Settings that a backend does not support are reported before the compiler's slow imports."""

import pytest

from components.errors import UserError
from kubeflow.compile import checks
from kubeflow.compile.compiler import compile_pipeline
from pipeline.config import overrides

VERTEX = ["cluster.root=gs://b/state", "cluster.serving_dir=gs://b/serving", "cluster.pipeline_root=gs://b/runs"]


@pytest.mark.parametrize(
    ("backend", "settings", "reason"),
    [
        ("kfp", ["cluster.image=none"], "container image.*Dockerfile"),
        *[
            ("kfp", [f"cluster.image={image}"], f"cannot be the name of an image.*Received: cluster.image={image}")
            for image in ("r.example/Char-RNN:1", "https://r.example/i:1", "i:", "i j", "i@sha256:12", "r:port/i")
        ],
        ("kfp", ["cluster.failure_webhook=HOOK"], "variable that no secret sets.*Received: .*=HOOK"),
        ("vertex", [*VERTEX, "cluster.failure_webhook=HOOK"], "Vertex AI gives its containers no secrets"),
        ("kfp", ["cluster.root=state"], "absolute path where a volume is mounted"),
        ("kfp", ["cluster.serving_dir=s3://b/serving"], "TensorFlow opens no other object store"),
        ("kfp", ['beam_args=["--runner=DaskRunner"]'], "Dask runner cannot run this pipeline"),
        ("kfp", ['beam_args=["--runner=DataflowRunner"]'], "Beam workers on other machines"),
        ("kfp", ['beam_args=["--runner", "FlinkRunner"]', VERTEX[2]], "staged corpus.*FlinkRunner, cluster.root=/mnt"),
        ("kfp", ["cluster.root=/"], "absolute path where a volume is mounted"),
        ("kfp", ["cluster.root=gs://"], "absolute path where a volume is mounted"),
        ("kfp", ["cluster.root=/models"], "two volumes with different paths"),
        ("kfp", ["serving.volume_claim=char-rnn-state"], "two volumes: .*serving.volume_claim=char-rnn-state"),
        ("kfp", ["cluster.pipeline_root=/mnt/runs"], "folder in the backend's object store"),
        ("kfp", ["training.strategy=mirrored", "training.logical_cpus=2"], "local machine"),
        ("vertex", [], "Vertex AI mounts no volumes"),
        ("vertex", VERTEX[:2], "bucket for the artifacts"),
        (
            "vertex",
            [*VERTEX, 'cluster.pods.Trainer.node_selector=["pool=gpu"]'],
            "neither node selectors, tolerations.*cluster.pods.Trainer",
        ),
    ],
)
def test_unsupported_setting_is_reported_before_compiling(backend: str, settings: list[str], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        compile_pipeline(overrides.load("quick", ["cluster.image=i:1", *settings]), backend)


DIGEST = "@sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("image", "warned"),
    [
        ("char-rnn", True),
        ("r.example:5000/ml/char_rnn", True),
        ("r.example/char-rnn:latest", True),
        ("localhost:5000/char-rnn:1.0", False),
        ("r.example/char-rnn" + DIGEST, False),
        ("char-rnn:latest" + DIGEST, False),
    ],
)
def test_image_without_tag_or_digest_is_warned_about(
    image: str, warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    checks.check(overrides.load("quick", [f"cluster.image={image}"]), "kfp")
    printed = capsys.readouterr().err
    assert printed.startswith("warning: Without a separate tag") == warned
    assert printed.endswith(f"Received: cluster.image={image}\n") == warned


@pytest.mark.parametrize("webhook", ["https://hooks.example/T1", "HOOK"])
def test_webhook_is_an_address_or_a_variable_that_a_secret_sets(webhook: str) -> None:
    secret = 'cluster.pods.FailureReport.secret_variables=[{name="HOOK", secret="webhook", key="url"}]'
    checks.check(overrides.load("quick", ["cluster.image=i:1", f"cluster.failure_webhook={webhook}", secret]), "kfp")
