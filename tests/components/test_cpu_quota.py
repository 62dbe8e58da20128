"""The number of cores, from files as Linux lays them out in containers and outside of them."""

import doctest
import os
from pathlib import Path

import pytest

from components import cpu_quota

ALL = 8


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight cores, whatever this machine has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(ALL)))


def cores(tmp_path: Path, membership: str, files: dict[str, str]) -> int:
    for name, text in files.items():
        file = tmp_path / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "membership").write_text(membership)
    return cpu_quota.cores(tmp_path / "cgroup", tmp_path / "membership")


V1 = "12:memory:/kubepods/pod1/abc\n4:cpu,cpuacct:/kubepods/pod1/abc\n0::/\n"
V1_GROUP = "cpu/kubepods/pod1/abc/cpu.cfs"
V1_NO_LIMIT = {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        # Version 2. The container sees its own group as the root.
        ("0::/\n", {"cpu.max": "400000 100000\n"}, 4),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),  # rounded up
        ("0::/\n", {"cpu.max": "max 100000\n"}, ALL),
        ("0::/\n", {"cpu.max": "6400000 100000\n"}, ALL),  # more than the affinity
        # The path on the machine is visible, but its directory is not.
        ("0::/../../pod1/abc\n", {"cpu.max": "300000 100000\n"}, 3),
        # Outside of a container: the smallest quota of the groups around the process.
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "200000 100000\n", "cpu.max": "max 100000"}, 2),
        # Version 1.
        (V1, {"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        (V1, V1_NO_LIMIT, ALL),
        (V1, {f"{V1_GROUP}_quota_us": "250000\n", f"{V1_GROUP}_period_us": "100000\n", **V1_NO_LIMIT}, 3),
        # No control group of processors, or files of another form.
        ("3:cpuset:/\n0::/\n", {}, ALL),
        ("0::/\n", {"cpu.max": "\n"}, ALL),
    ],
)
def test_cores_are_the_affinity_or_a_smaller_quota(
    membership: str, files: dict[str, str], expected: int, tmp_path: Path
) -> None:
    assert cores(tmp_path, membership, files) == expected


def test_without_control_groups_the_affinity_decides(tmp_path: Path) -> None:
    assert cpu_quota.cores(tmp_path, tmp_path / "missing") == ALL


def test_docstring_examples_are_true() -> None:
    assert doctest.testmod(cpu_quota).failed == 0


def test_numbers_of_threads_are_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_quota, "cores", lambda: 3)
    environment = {"TF_NUM_INTEROP_THREADS": "1"}
    cpu_quota.limit_threads(environment)
    assert environment == {"TF_NUM_INTRAOP_THREADS": "3", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "3"}
