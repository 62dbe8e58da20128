"""Strategy and precision by machine; other machines are simulated by replacing what TensorFlow reports about them."""

import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import tensorflow as tf

from components import cpu_quota
from tests import warm
from trainer import hardware

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
AMPERE, VOLTA, PASCAL = (8, 0), (7, 0), (6, 1)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a function that sets the compute capabilities of the GPUs and returns a record of calls."""
    calls = mock.Mock()
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", calls.memory_growth)
    for name in ("MirroredStrategy", "OneDeviceStrategy", "MultiWorkerMirroredStrategy"):
        monkeypatch.setattr(tf.distribute, name, getattr(calls, name))

    def set_gpus(*capabilities: tuple[int, int] | None) -> mock.Mock:
        gpus = [tf.config.PhysicalDevice(f"/physical_device:GPU:{i}", "GPU") for i in range(len(capabilities))]
        cpus = tf.config.list_physical_devices("CPU")
        details = {
            gpu.name: {"compute_capability": capability} if capability else {}
            for gpu, capability in zip(gpus, capabilities)
        }
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus if kind == "GPU" else cpus)
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details[gpu.name])
        return calls

    return set_gpus


def cpu_flags(monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    def fake_open(path: str, **_: Any) -> io.StringIO:
        assert path == "/proc/cpuinfo"
        if text is None:
            raise FileNotFoundError(path)
        return io.StringIO(text)

    monkeypatch.setattr(hardware, "open", fake_open, raising=False)


def test_without_a_gpu_the_engine_runs_on_the_default_device(machine: Any) -> None:
    calls = machine()
    chosen = hardware.choose(precision="float32")
    assert chosen.strategy.num_replicas_in_sync == 1
    assert not chosen.stock_layer
    assert chosen.precision == "float32"
    assert chosen.description == f"one device on {cpu_quota.cores()} CPU cores, float32"
    assert calls.mock_calls == []


def test_one_gpu_has_the_stock_layer_and_memory_growth(machine: Any) -> None:
    calls = machine(AMPERE)
    chosen = hardware.choose()
    assert chosen.stock_layer
    assert chosen.strategy is calls.OneDeviceStrategy.return_value
    calls.OneDeviceStrategy.assert_called_once_with("/gpu:0")
    assert chosen.description == "OneDeviceStrategy on 1 GPU, bfloat16"
    ((gpu, growth),) = [call.args for call in calls.memory_growth.mock_calls]
    assert (gpu.name, growth) == ("/physical_device:GPU:0", True)


@pytest.mark.parametrize(("wanted", "created"), [("auto", "MirroredStrategy"), ("one_device", "OneDeviceStrategy")])
def test_several_gpus_are_used_together_unless_one_device_is_configured(
    machine: Any, wanted: str, created: str
) -> None:
    calls = machine(AMPERE, AMPERE)
    chosen = hardware.choose(wanted)
    assert chosen.strategy is getattr(calls, created).return_value
    assert chosen.description == f"{created} on 2 GPUs, bfloat16"
    assert len(calls.memory_growth.mock_calls) == 2


def test_several_processes_train_together(machine: Any) -> None:
    calls = machine()
    chosen = hardware.choose(processes=3)
    assert chosen.strategy is calls.MultiWorkerMirroredStrategy.return_value
    assert chosen.description.startswith("MultiWorkerMirroredStrategy, 3 processes on ")


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [
        ([AMPERE], "bfloat16"),
        ([(9, 0)], "bfloat16"),
        ([(12, 0)], "bfloat16"),
        ([(7, 5)], "float16"),
        ([VOLTA], "float16"),
        ([PASCAL], "float32"),
        ([None], "float32"),
        ([AMPERE, VOLTA], "float16"),
        ([PASCAL, AMPERE], "float32"),
    ],
)
def test_weakest_gpu_decides_the_precision(
    machine: Any, capabilities: list[tuple[int, int] | None], precision: str
) -> None:
    machine(*capabilities)
    assert hardware.choose().precision == precision
    assert hardware.choose(precision="float32").precision == "float32"


@pytest.mark.parametrize(
    ("cpuinfo", "precision"),
    [
        ("model name\t: x\nflags\t\t: fpu avx512f avx512_bf16 sse\nflags\t\t: fpu\n", "bfloat16"),
        ("flags\t\t: fpu amx_bf16 amx_tile\n", "bfloat16"),
        ("flags\t\t: fpu avx512f avx512_bf16x not_amx_bf16\nbugs\t\t: amx_bf16\n", "float32"),
        ("processor\t: 0\n", "float32"),
        (None, "float32"),
    ],
)
def test_cpu_uses_bfloat16_only_with_native_products(
    machine: Any, monkeypatch: pytest.MonkeyPatch, cpuinfo: str | None, precision: str
) -> None:
    machine()
    cpu_flags(monkeypatch, cpuinfo)
    assert hardware.choose().precision == precision


@pytest.mark.parametrize(("limit", "precision"), [("avx2", "float32"), ("AVX512_CORE_BF16", "bfloat16")])
def test_cpu_uses_no_bfloat16_that_onednn_may_not_multiply(
    machine: Any, monkeypatch: pytest.MonkeyPatch, limit: str, precision: str
) -> None:
    machine()
    cpu_flags(monkeypatch, "flags\t\t: avx512_bf16\n")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert hardware.choose().precision == precision


def test_logical_cpus_that_were_not_set_up_are_an_error(machine: Any) -> None:
    machine()
    with pytest.raises(RuntimeError, match=r"split_cpu\(3\)"):
        hardware.choose("mirrored", logical_cpus=3)


def test_split_cpu_has_two_replicas() -> None:
    # In a separate process: devices can only be split before TensorFlow has used one.
    program = (
        "from trainer import hardware; hardware.split_cpu(2);"
        "chosen = hardware.choose('mirrored', 'float32', logical_cpus=2);"
        "print(chosen.strategy.num_replicas_in_sync, chosen.stock_layer, chosen.description)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}
    ran = subprocess.run(
        [warm.python(), "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    cores = cpu_quota.cores()
    assert ran.stdout.strip() == f"2 False MirroredStrategy over 2 logical CPUs on {cores} CPU cores, float32"
