"""A component's pod settings; each value that is not set comes from the default."""

import pytest

from components.errors import UserError
from pipeline.config import overrides


def test_pod_uses_its_own_values_and_defaults_for_the_others() -> None:
    settings = ["cluster.pods.Trainer.gpus=1", "cluster.pods.default.memory_gb=6", "cluster.pods.Pusher.cpu=0.25"]
    pods = overrides.load("quick", settings).cluster.pods
    trainer, pusher, transform = pods.of("Trainer"), pods.of("Pusher"), pods.of("Transform")
    assert (trainer.gpus, trainer.cpu_limit, trainer.memory_gb) == (1, 4.0, 3.0)
    assert (pusher.gpus, pusher.cpu, pusher.memory_gb) == (0, 0.25, 6.0)
    assert transform == pods.of("UnknownComponent")
    assert (transform.cpu, transform.memory_gb) == (0.5, 6.0)


def test_limit_is_at_least_the_request() -> None:
    pods = overrides.load(
        "quick", ["cluster.pods.Trainer.cpu=8", "cluster.pods.default.memory_limit_gb=1"]
    ).cluster.pods
    assert (pods.of("Trainer").cpu, pods.of("Trainer").cpu_limit) == (8.0, 8.0)
    assert (pods.of("Pusher").memory_gb, pods.of("Pusher").memory_limit_gb) == (2.0, 2.0)


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
        'cluster.pods.Trainer.labels=["a=b c"]',
        'cluster.pods.Trainer.labels=["a"]',
        'cluster.pods.Trainer.annotations=["no equals sign"]',
        'cluster.pods.Trainer.annotations=["a b=c"]',
        'cluster.pods.Trainer.secret_variables=[{name="1", secret="s", key="k"}]',
        'cluster.pods.Trainer.secret_variables=[{name="A", secret="S", key="k"}]',
        'cluster.pods.Trainer.secret_variables=[{name="A", secret="s", key="a/b"}]',
        'cluster.pods.Trainer.secret_variables=[{name="A", secret="s"}]',
        "cluster.pods.Trainer.retries=11",
        "cluster.pods.Trainer.timeout_seconds=-1",
        "cluster.pods.Trainer.cpu_limit=0",
        'cluster.image_pull_secrets=["Registry"]',
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
        'cluster.pods.Trainer.annotations=["example.org/note=any: text, also\\nlines", "empty="]',
        'cluster.pods.Trainer.secret_variables=[{name="HF_TOKEN", secret="corpus.v1", key="token_1.txt"}]',
        'cluster.image_pull_secrets=["registry", "my.registry"]',
        "cluster.gpu_resource=amd.com/gpu",
    ],
)
def test_value_that_kubernetes_accepts_is_valid(setting: str) -> None:
    overrides.load("quick", [setting])


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ('node_selector=["a=b", "a=c"]', "a, a"),
        ('labels=["x=", "a=b", "x=c"]', "x, a, x"),
        ('annotations=["a=b", "a=b"]', "a, a"),
        ('secret_variables=[{name="A", secret="s", key="k"}, {name="A", secret="t", key="k"}]', "A, A"),
    ],
)
def test_name_that_is_given_twice_is_an_error(setting: str, names: str) -> None:
    """Only the last one would count."""
    with pytest.raises(UserError, match=f"{setting.partition('=')[0]} of a pod .* different names. Received: {names}$"):
        overrides.load("quick", [f"cluster.pods.Trainer.{setting}"])
