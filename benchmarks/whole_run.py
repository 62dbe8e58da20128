"""Time and memory of complete runs of the local runner: the first one in an empty root, and the same again.

    python benchmarks/whole_run.py CORPUS [--preset quick] [--json FILE]

Peak memory is the largest sum of resident memory over the runner and the processes it starts, five samples a second.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil

from benchmarks import machine

ROOT = Path(__file__).resolve().parent.parent


def measure(command: list[str], summary: Path) -> dict[str, Any]:
    """Run a command; return its wall and CPU seconds, peak memory in GiB, and the runner's summary."""
    summary.unlink(missing_ok=True)
    began, cpu_before, peak = time.monotonic(), os.times(), 0
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        total = 0
        try:
            for member in [watched, *watched.children(recursive=True)]:
                total += member.memory_info().rss
        except psutil.NoSuchProcess:
            pass
        peak = max(peak, total)
        time.sleep(0.2)
    cpu = os.times()
    return {
        "exit_code": process.returncode,
        "wall_seconds": time.monotonic() - began,
        "cpu_seconds": cpu.children_user + cpu.children_system - cpu_before.children_user - cpu_before.children_system,
        "peak_gib": peak / 2**30,
        **(json.loads(summary.read_text()) if summary.exists() else {}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus", metavar="CORPUS")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    about = machine.describe(None)
    print(f"{machine.line(about)}\npreset {options.preset}; {options.corpus}", flush=True)
    with tempfile.TemporaryDirectory(prefix="char-rnn-benchmark-") as root:
        summary = Path(root, "summary.json")
        command = [sys.executable, "local_runner.py", "--preset", options.preset, "--corpus", options.corpus]
        command += ["--root", str(Path(root, "root")), "--summary", str(summary)]
        runs = {name: measure(command, summary) for name in ("first", "again")}
    print("run       wall s   CPU s   GiB  train s     ppl   bits  eval chars  components")
    for name, run in runs.items():
        parts = run.get("components", {})
        how = [part["how"] for part in parts.values()]
        print(
            f"{name:8}{run['wall_seconds']:8.1f}{run['cpu_seconds']:8.1f}{run['peak_gib']:6.2f}"
            f"{parts.get('Trainer', {}).get('seconds', 0):9.1f}{run.get('perplexity', 0):8.3f}"
            f"{run.get('bits_per_char', 0):7.3f}{run.get('eval_chars', 0):12,}"
            f"  {how.count('executed')} executed, {how.count('cached')} cached, exit {run['exit_code']}"
        )
    if options.json:
        Path(options.json).write_text(json.dumps({"machine": about, **runs}, indent=2) + "\n")


if __name__ == "__main__":
    main()
