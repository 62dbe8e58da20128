"""The CPU cores that a container may use: fewer than those of its machine, which the frameworks count.

More threads than that are not faster: the kernel stops all of them for the rest of a period (0.1 s) once the quota is
used up.
"""

import contextlib
import math
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path

# Of TensorFlow (within an operation, and operations at the same time), and of OpenMP, OpenBLAS and Arrow.
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


def limit_threads(environment: MutableMapping[str, str]) -> None:
    """Set the numbers of threads for frameworks that are imported afterwards; numbers that are set already stay.

    Example:
      >>> environment = {"OMP_NUM_THREADS": "3"}
      >>> limit_threads(environment)
      >>> environment["OMP_NUM_THREADS"], int(environment["TF_NUM_INTRAOP_THREADS"]) == cores()
      ('3', True)
    """
    for variable in THREADS:
        environment.setdefault(variable, str(cores()))


def cores(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> int:
    """Return the number of cores for this process: its affinity, or a smaller CPU quota, rounded up.

    Args:
      root: where the control groups are mounted, of version 1 or 2.
      membership: names the control groups of this process.
    """
    return min([len(os.sched_getaffinity(0)), *map(math.ceil, _quotas(root, membership))])


def _quotas(root: Path, membership: Path) -> Iterator[float]:
    """Yield the quotas in cores of this process's control group and of those around it."""
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:  # not on Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / "cpu" if controllers else root
        # A container often sees its own group as the root, under whatever path it has on the machine.
        group = base / path.lstrip("/")
        for directory in (group, *group.parents):
            yield from _quota(directory)
            if directory == base:
                break


def _quota(group: Path) -> Iterator[float]:
    with contextlib.suppress(OSError, ValueError):
        quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
        yield int(quota) / int(period)  # "max" is not a number
    with contextlib.suppress(OSError, ValueError):
        quota, period = ((group / f"cpu.cfs_{of}_us").read_text(encoding="ascii") for of in ("quota", "period"))
        if int(quota) > 0:
            yield int(quota) / int(period)
