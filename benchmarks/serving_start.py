"""Time from the start of the embedded server to its first answer, and from a new version to its first answer.

    python benchmarks/serving_start.py [--units 512] [--rounds 5] [--previous ../previous]

A model with random weights is exported and served. `start` is the time from the start of the process until a request to
generate 20 characters is answered; `version` the time from the rename of a second version until it answers one. CPU
seconds are those of the server. With `--previous` another checkout of this project exports and serves in the same
rounds, and the ratio is printed.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks import machine

ROOT = Path(__file__).resolve().parent.parent
MODEL = "char_rnn"
EXPORT = "import sys; from benchmarks.serving import random_export as e; e(sys.argv[1], 64, int(sys.argv[2]))"
_TICKS = os.sysconf("SC_CLK_TCK")


def export(checkout: Path, directory: Path, units: int) -> None:
    """Write an export with the code of a checkout."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(checkout)}
    subprocess.run(
        [sys.executable, "-c", EXPORT, str(directory), str(units)],
        cwd=checkout,
        env=environment,
        check=True,
        capture_output=True,
    )


def cpu_seconds(process: int) -> float:
    """Return the CPU time of a process (Linux only)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def answers(url: str, deadline: float = 120.0) -> None:
    """Wait until the address answers a request to generate."""
    body = {"inputs": {"prompt": ["ROMEO:"], "num_chars": [20], "temperature": [0.8], "top_k": [0], "seed": [1]}}
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        try:
            if httpx.post(f"{url}:predict", json={"signature_name": "generate", **body}, timeout=60).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    raise SystemExit(f"{url} did not answer within {deadline:.0f} s.")


def one_round(checkout: Path, exported: Path) -> dict[str, float]:
    """Serve an export, publish it again as version 2, and return the measured seconds."""
    with tempfile.TemporaryDirectory(prefix="serving-start-") as directory:
        base = Path(directory) / MODEL
        base.mkdir()
        subprocess.run(["cp", "-r", exported, base / "1"], check=True)
        subprocess.run(["cp", "-r", exported, base / ".next"], check=True)
        config = Path(directory) / "models.config"
        config.write_text(
            f'model_config_list {{ config {{ name: "{MODEL}" base_path: "{base}" '
            "model_version_policy { all {} } } }\n"
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "serving.embedded", f"--rest_api_port={port}", f"--model_config_file={config}"]
        began = time.perf_counter()
        server = subprocess.Popen(command, cwd=checkout, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}/v1/models/{MODEL}"
            answers(f"{url}/versions/1")
            start, cpu = time.perf_counter() - began, cpu_seconds(server.pid)
            began = time.perf_counter()
            (base / ".next").rename(base / "2")
            answers(f"{url}/versions/2")
            version = time.perf_counter() - began
            return {
                "start s": start,
                "start CPU-s": cpu,
                "version s": version,
                "version CPU-s": cpu_seconds(server.pid) - cpu,
            }
        finally:
            server.terminate()
            server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--previous", type=Path, help="another checkout, which is measured, too")
    options = parser.parse_args()
    checkouts = {"this checkout": ROOT} | ({"previous": options.previous.resolve()} if options.previous else {})
    found: dict[str, list[dict[str, float]]] = {name: [] for name in checkouts}
    print(machine.line(machine.describe(None)))
    with tempfile.TemporaryDirectory(prefix="serving-start-exports-") as directory:
        for name, checkout in checkouts.items():
            export(checkout, Path(directory) / name.replace(" ", "-"), options.units)
        for number in range(options.rounds + 1):  # the first one fills the file cache
            for name, checkout in checkouts.items():
                measured = one_round(checkout, Path(directory) / name.replace(" ", "-"))
                if number:
                    found[name].append(measured)
    table = Table(title=f"GRU {options.units}: seconds until the first answer, medians of {options.rounds}")
    for column in ("", *found["this checkout"][0]):
        table.add_column(column, justify="right" if column else "left")
    for name, rounds in found.items():
        table.add_row(name, *(f"{statistics.median(one[key] for one in rounds):.2f}" for key in rounds[0]))
    if "previous" in found:
        pairs = list(zip(found["this checkout"], found["previous"]))
        ratios = [statistics.median(this[key] / other[key] for this, other in pairs) for key in pairs[0][0]]
        table.add_row("ratio by round", *(f"{ratio:.2f}" for ratio in ratios))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
