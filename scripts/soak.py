#!/usr/bin/env python3
"""Run `serving up` under a mixed load for a long time, with pushes and broken versions: no failure, flat memory.

python scripts/soak.py --minutes 60             # small exports with random weights
python scripts/soak.py --minutes 60 --export output/serving/char_rnn/1 --rate 30

The load: every signature of the export on the newest version, by label and by version; streams of the Python client;
status, metadata, metrics; malformed requests; clients that disconnect. Every response must be the one that the contract
promises: the status, and for a prediction the answer that the version's export gave in the beginning. Meanwhile a
version is pushed every two minutes, promoted, and the oldest ones are pruned; each third one is broken (truncated
variables, no saved_model.pb, an empty directory) and must be reported while the others keep responding.

Memory is flat if the resident memory of the server, fitted by a line over the last two thirds of the time, grows by at
most 5 percent of its mean in that time. Exit code 1 if anything failed or memory is not flat.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from scripts.traffic import MODEL, calls, export, memory, rollouts, signatures, up  # noqa: E402

_SAMPLE_SECONDS = 5.0
_SHOWN = 20  # failures in the report
# Requests of each kind: twice as many as of a kind that is not listed.
_WEIGHTS = {calls.STATUS: 1, calls.METADATA: 1, calls.METRICS: 0.5, calls.DISCONNECT: 1}


@dataclass
class Results:
    """What the load measured, by kind of request; any thread may add to it."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: Counter = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, seconds: float, fault: str) -> None:
        """Count one request; `fault` is empty if the response was the promised one."""
        with self._lock:
            self.seconds[kind].append(seconds)
            if fault:
                self.failed[kind] += 1
                self.faults.append(f"{time.strftime('%H:%M:%S')} {kind}: {fault}")

    def total(self) -> int:
        """Return the number of requests so far."""
        with self._lock:
            return sum(map(len, self.seconds.values()))


def parsed(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="default 60")
    parser.add_argument("--rate", type=float, default=10.0, help="requests per second, about; default 10")
    parser.add_argument("--clients", type=int, default=4, help="requests at a time; default 4")
    parser.add_argument("--push-seconds", type=float, default=120.0, help="between two versions; default 120")
    parser.add_argument(
        "--export", type=Path, action="append", help="serve this export; repeatable; default: small ones"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the load; default 0")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Start the server, run load and pushes, and print the results; return 1 if anything failed."""
    options, console = parsed(argv), Console(highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        exports, root = options.export or [Path(folder, "export-1"), Path(folder, "export-2")], Path(folder, "root")
        for number, directory in enumerate(exports):
            if not options.export:
                export.write(str(directory), seed=number)
            rollouts.versions.publish(str(directory), str(root / "serving" / MODEL))
        with up.Up(root) as server:
            return _run(server, exports, options, console)


def _run(server: up.Up, exports: list[Path], options: argparse.Namespace, console: Console) -> int:
    results, pushes, samples = Results(), rollouts.Rollouts(server, exports), list[float]()
    asked = _calls(server, options.seed, pushes.served)
    ended = threading.Event()
    threads = [
        threading.Thread(target=_load, args=(asked, pushes, results, options, n, ended)) for n in range(options.clients)
    ]
    threads.append(threading.Thread(target=_push, args=(pushes, options.push_seconds, ended)))
    began, used, printed = time.monotonic(), server.cpu_seconds(), 0
    for thread in threads:
        thread.start()
    try:
        while (elapsed := time.monotonic() - began) < 60 * options.minutes and server.runs():
            samples.append(server.mebibytes())
            if elapsed // 60 > printed:
                printed = int(elapsed // 60)
                console.print(_progress(printed, results, pushes, samples[-1]))
            time.sleep(min(_SAMPLE_SECONDS, 60 * options.minutes / 20))
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        asked.close()
    used = server.cpu_seconds() - used if server.runs() else 0.0
    faults = [*([] if server.runs() else ["the server's process ended"]), *server.stop()]
    faults += [*server.logged_faults("Traceback|Unhandled"), *pushes.faults, *results.faults]
    _report(console, results, pushes)
    console.print(
        f"{elapsed / 60:.1f} minutes, {used:.0f} CPU-seconds of the server ({used / elapsed:.0%} of one core)"
    )
    is_flat, text = memory.verdict(samples, pushes.pushed)
    console.print(f"memory: {memory.curve(samples)}\n{text}")
    console.print(f"failures: {len(faults)}")
    for fault in faults[:_SHOWN]:
        console.print(fault, style="red", markup=False)
    return int(bool(faults) or not is_flat)


def _calls(server: up.Up, seed: int, served: dict[int, int]) -> calls.Calls:
    """Record the answers of each export."""
    known = signatures.of(httpx.get(f"{server.url}/v1/models/{MODEL}/metadata", timeout=60).json())
    asked = calls.Calls(server.url, seed, known)
    for version in served:
        asked.record(version)
    return asked


def _load(
    asked: calls.Calls,
    pushes: rollouts.Rollouts,
    results: Results,
    options: argparse.Namespace,
    number: int,
    ended: threading.Event,
) -> None:
    """Send requests one after another with random pauses."""
    draw, kinds = random.Random(f"{options.seed}-{number}"), asked.kinds()
    weights = [_WEIGHTS.get(kind, 2) for kind in kinds]
    while not ended.wait(draw.expovariate(options.rate / options.clients)):
        (kind,) = draw.choices(list(kinds), weights)
        started = time.monotonic()
        try:
            fault = kinds[kind](draw, pushes.served)
        except Exception as error:  # of any kind: a lost connection, an error of the client, a body that is no JSON
            fault = f"{type(error).__name__}: {error}"
        results.add(kind, time.monotonic() - started, fault)


def _push(pushes: rollouts.Rollouts, pause: float, ended: threading.Event) -> None:
    while not ended.wait(pause):
        try:
            pushes.step()
        except Exception as error:
            pushes.faults.append(f"push: {type(error).__name__}: {error}")


def _progress(minutes: int, results: Results, pushes: rollouts.Rollouts, mebibytes: float) -> str:
    versions = f"{pushes.pushed} versions pushed, {len(pushes.broken)} broken, {pushes.pruned} pruned"
    failed = len(results.faults) + len(pushes.faults)
    return f"{minutes:>4} min: {results.total():>8,} requests, {failed} failures; {versions}; {mebibytes:.0f} MiB"


def _report(console: Console, results: Results, pushes: rollouts.Rollouts) -> None:
    table = Table("requests", "number", "failed", "p50 ms", "p99 ms")
    for kind, seconds in sorted(results.seconds.items()):
        p50, p99 = statistics.median(seconds), sorted(seconds)[int(0.99 * len(seconds))]
        table.add_row(kind, f"{len(seconds):,}", str(results.failed[kind]), f"{1e3 * p50:.0f}", f"{1e3 * p99:.0f}")
    table.add_row("all", f"{results.total():,}", str(results.failed.total()))
    console.print(table)
    broken = ", ".join(f"{count} {way}" for way, count in Counter(pushes.broken).items()) or "0"
    console.print(f"versions: {pushes.pushed} pushed and promoted, {pushes.pruned} pruned; broken: {broken}")


if __name__ == "__main__":
    sys.exit(main())
