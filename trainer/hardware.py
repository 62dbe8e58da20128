"""Choose the distribution strategy and the precision for the machine."""

import contextlib
import os
from dataclasses import dataclass

import tensorflow as tf

from components import command_line, cpu_quota

BFLOAT16_CAPABILITY = (8, 0)  # NVIDIA compute capability from which bfloat16 is fast (Ampere)
_WITHOUT_BFLOAT16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}  # of oneDNN
FLOAT16_CAPABILITY = (7, 0)  # Volta: the first with tensor cores


@dataclass(frozen=True)
class Hardware:
    """Strategy and precision of a training.

    Attributes:
      precision: of the matrix products; variables and the state between windows are float32. The stock layer computes
        "bfloat16" in float32 (TensorFloat-32 if the GPU has it) and has a float16 state under "float16".
      stock_layer: use the stock Keras layer (cuDNN), if the cell has one, instead of `trainer.engine`.
      description: one line for the log.
    """

    strategy: tf.distribute.Strategy
    precision: str
    stock_layer: bool
    description: str


def choose(strategy: str = "auto", precision: str = "auto", logical_cpus: int = 1, processes: int = 1) -> Hardware:
    """Choose strategy and precision.

    Several processes: MultiWorkerMirroredStrategy. Several GPUs: MirroredStrategy. One GPU: OneDeviceStrategy. None:
    the default strategy.

    Args:
      strategy: "auto", "one_device" or "mirrored".
      precision: "auto", "float32", "bfloat16" or "float16".
      logical_cpus: devices to split the CPU into, for "mirrored" on a machine without GPU.
      processes: that train together, see `trainer.cluster`; this one then waits for the others.
    """
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        # Fails in a process that already used TensorFlow, which then must have set TF_FORCE_GPU_ALLOW_GROWTH.
        with contextlib.suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(gpu, True)
    chosen, name = _strategy(strategy, gpus, logical_cpus, processes)
    precision = best_precision(gpus) if precision == "auto" else precision
    if gpus:
        devices = command_line.counted(len(gpus), "GPU")
    else:
        devices = command_line.counted(cpu_quota.cores(), "CPU core")
    return Hardware(chosen, precision, bool(gpus), f"{name} on {devices}, {precision}")


def _strategy(
    wanted: str, gpus: list[tf.config.PhysicalDevice], logical_cpus: int, processes: int
) -> tuple[tf.distribute.Strategy, str]:
    if processes > 1:
        return tf.distribute.MultiWorkerMirroredStrategy(), f"MultiWorkerMirroredStrategy, {processes} processes"
    if wanted == "mirrored" and not gpus and logical_cpus > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        if len(tf.config.list_logical_devices("CPU")) != logical_cpus:
            raise RuntimeError(
                f"training.logical_cpus={logical_cpus} must be set up before TensorFlow starts: call "
                f"trainer.hardware.split_cpu({logical_cpus}) first. Received: {cpu} as one device."
            )
        devices = [f"CPU:{i}" for i in range(logical_cpus)]
        return tf.distribute.MirroredStrategy(devices), f"MirroredStrategy over {logical_cpus} logical CPUs"
    if wanted != "one_device" and (len(gpus) > 1 or wanted == "mirrored"):
        return tf.distribute.MirroredStrategy(), "MirroredStrategy"
    if gpus:
        return tf.distribute.OneDeviceStrategy("/gpu:0"), "OneDeviceStrategy"
    return tf.distribute.get_strategy(), "one device"


def split_cpu(count: int) -> None:
    """Split the CPU into `count` logical devices; call it before TensorFlow uses a device."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)


def best_precision(gpus: list[tf.config.PhysicalDevice]) -> str:
    """Return what "auto" stands for on these GPUs, or on this machine's processor without any."""
    if not gpus:
        return "bfloat16" if cpu_has_bfloat16() else "float32"
    weakest = min(tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) for gpu in gpus)
    if weakest >= BFLOAT16_CAPABILITY:
        return "bfloat16"
    return "float16" if weakest >= FLOAT16_CAPABILITY else "float32"


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 natively (AVX512-BF16 or AMX), and oneDNN may use that.

    According to the Linux kernel, and to the variable that limits oneDNN to older instructions.
    """
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", ""))
    if limit.upper() in _WITHOUT_BFLOAT16:
        return False
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = next((line for line in file if line.startswith("flags")), "").split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
