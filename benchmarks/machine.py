"""Description of the machine of a measurement: the first line of every table."""

import importlib.metadata
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

# Load average of the last minute. On a busy machine even CPU seconds are wrong: threads that wait for each other spin,
# above all PyTorch's.
BUSY = 0.5


def describe(torch_python: str | None) -> dict[str, Any]:
    """Return the cores that this process may use, the processor, and the versions of the compared libraries."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": cpu_model(),
        "tensorflow": importlib.metadata.version("tensorflow"),
        "keras": importlib.metadata.version("keras"),
        "torch": torch_version(torch_python) if torch_python else None,
        "load_before": os.getloadavg()[0],
    }


def line(machine: dict[str, Any]) -> str:
    """Return the description in one line; it marks a busy machine, on which every figure is worse."""
    versions = ", ".join(f"{name} {machine[name] or 'not installed'}" for name in ("tensorflow", "keras", "torch"))
    busy = " BUSY: other processes distort every figure" if machine["load_before"] > BUSY else ""
    return f"{machine['cores']} cores, {machine['cpu']}; {versions}; load before {machine['load_before']:.1f}{busy}"


def cpu_model() -> str:
    """Return the processor's name and its bfloat16 instructions, from /proc/cpuinfo."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return f"{name} ({', '.join(flag for flag in ('avx512_bf16', 'amx_bf16') if flag in flags) or 'no bfloat16'})"


def read_bandwidth(megabytes: float, repeats: int = 9) -> float:
    """Return the bytes per second at which all cores read an array of this size; a small one stays in caches."""
    cores = len(os.sched_getaffinity(0))
    parts = np.array_split(np.ones(int(megabytes * 1e6) // 4, np.float32), cores)
    seconds = []
    with ThreadPoolExecutor(cores) as pool:
        for _ in range(repeats + 1):  # the first one starts the threads
            began = time.perf_counter()
            list(pool.map(np.dot, parts, parts))
            seconds.append(time.perf_counter() - began)
    return float(megabytes * 1e6 / statistics.median(seconds[1:]))


def find_torch(wanted: str | None) -> str | None:
    """Return the interpreter for the PyTorch implementations: `wanted`, else this one; None without torch.

    Raises:
      SystemExit: `wanted` cannot import torch.
    """
    if torch_version(wanted or sys.executable):
        return wanted or sys.executable
    if wanted:
        raise SystemExit(f"This interpreter cannot import torch. Received: --torch-python {wanted}")
    return None


def torch_version(python: str) -> str | None:
    """Return the version of torch that an interpreter imports; None if it cannot."""
    program = "import torch; print(torch.__version__)"
    try:
        done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
