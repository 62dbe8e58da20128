"""What a measurement was taken on: the first line of every table."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

# Of the last minute. Beside other work even CPU seconds are wrong: a library's threads that wait for one another do so
# in a loop, PyTorch's above all.
BUSY = 0.5


def describe(torch_python: str | None) -> dict[str, Any]:
    """Cores that this process may use, processor, and versions of what is compared."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": cpu_model(),
        "tensorflow": importlib.metadata.version("tensorflow"),
        "keras": importlib.metadata.version("keras"),
        "torch": torch_version(torch_python) if torch_python else None,
        "load_before": os.getloadavg()[0],
    }


def line(machine: dict[str, Any]) -> str:
    """One line for people; a busy machine is told as such, for it makes every figure worse."""
    versions = ", ".join(f"{name} {machine[name] or 'not installed'}" for name in ("tensorflow", "keras", "torch"))
    busy = " BUSY, no figure is the machine's own" if machine["load_before"] > BUSY else ""
    return f"{machine['cores']} cores, {machine['cpu']}; {versions}; load before {machine['load_before']:.1f}{busy}"


def cpu_model() -> str:
    """The processor's name and whether it multiplies bfloat16 natively, as the Linux kernel tells."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return f"{name} ({', '.join(flag for flag in ('avx512_bf16', 'amx_bf16') if flag in flags) or 'no bfloat16'})"


def find_torch(wanted: str | None) -> str | None:
    """The interpreter that PyTorch's contenders run with: the one that is asked for, else this one; None without torch.

    Raises:
      SystemExit: the one that is asked for has no torch.
    """
    if torch_version(wanted or sys.executable):
        return wanted or sys.executable
    if wanted:
        raise SystemExit(f"This interpreter cannot import torch. Received: --torch-python {wanted}")
    return None


def torch_version(python: str) -> str | None:
    """None if torch cannot be imported."""
    program = "import torch; print(torch.__version__)"
    try:
        done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
