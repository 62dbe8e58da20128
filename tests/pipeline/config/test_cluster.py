"""A component's pod settings; each value that is not set comes from the default."""

import pytest

from components.errors import UserError
from pipeline.config import overrides


def test_pod_uses_its_own_values_and_defaults_for_the_others() -> None:
    settings = ["cluster.pods.Trainer.gpus=1", "cluster.pods.default.memory_gb=6", "cluster.pods.Pusher.cpu=0.5"]
    pods = overrides.load("quick", settings).cluster.pods
    trainer, pusher, transform = pods.of("Trainer"), pods.of("Pusher"), pods.of("Transform")
    assert (trainer.gpus, trainer.cpu, trainer.memory_gb) == (1, 4.0, 8.0)
    assert (pusher.gpus, pusher.cpu, pusher.memory_gb) == (0, 0.5, 6.0)
    assert transform == pods.default
    assert pods.of("UnknownComponent") == pods.default


@pytest.mark.parametrize(
    "setting",
    [
        'cluster.pods.Trainer.node_selector=["no equals sign"]',
        'cluster.pods.Trainer.node_selector=["a/b/c=d"]',
        'cluster.pods.Trainer.node_selector=["pool=-x"]',
        f'cluster.pods.Trainer.node_selector=["pool={"x" * 64}"]',
        'cluster.pods.Trainer.tolerations=[{key="x", effect="Sometimes"}]',
        'cluster.pods.Trainer.tolerations=[{key="x", value="y"}]',
        'cluster.pods.Trainer.tolerations=[{operator="Equal", value="y"}]',
        "cluster.gpu_resource=gpu",
        "cluster.vertex_gpu=nvidia.com/gpu",
    ],
)
def test_value_that_kubernetes_or_vertex_refuses_is_an_error(setting: str) -> None:
    with pytest.raises(UserError, match="Received: cluster"):
        overrides.load("quick", [setting])


@pytest.mark.parametrize(
    "setting",
    [
        'cluster.pods.Trainer.node_selector=["cloud.google.com/gke-accelerator=nvidia-l4", "a=", "A_b.c=D"]',
        'cluster.pods.Trainer.tolerations=[{}, {key="x", operator="Equal", value="y"}, {key="x", effect="NoExecute"}]',
        "cluster.gpu_resource=amd.com/gpu",
    ],
)
def test_value_that_kubernetes_accepts_is_valid(setting: str) -> None:
    overrides.load("quick", [setting])
