"""Characters per second of generation: the tutorial's Python loop, `generate` in process, and over REST.

    python benchmarks/serving.py [--units 512] [--embedding 64] [--chars 1000] [--rounds 3] [--score 200000]
    python benchmarks/serving.py --rows 1 16 --only "in process" "REST generate" --rounds 25 --previous ../previous

All measurements alternate within one run, on random weights: the speed does not depend on their values.
In process the rows are one batch; over REST they are concurrent clients of the embedded server, or with `--url` of any
TF Serving that serves such a model (whose size `--units` and `--embedding` then do not change).
`--previous` names another checkout of this project, whose embedded server serves the same export in the same rounds.
With one row in process, its time is compared with that of reading the weights once a character (the memory floor).
With `--score` a text of that many characters is scored in one request to the embedded server, and the memory that this
adds to its process is printed (Linux only); with `--rounds 0` nothing else is measured.
"""

import argparse
import contextlib
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import httpx
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.tutorial_one_step import TutorialOneStep
from serving.client.blocking import Client
from serving.graph.one_step import Defaults, OneStep, Weights
from trainer import export
from transform.vocabulary import Vocabulary

CHARACTERS = "\n !$&',-.3:;?" + "".join(map(chr, [*range(65, 91), *range(97, 123)]))  # Shakespeare's 65
CONCURRENCY = (1, 5, 16, 64)
MODEL = "char_rnn"
ROOT = Path(__file__).resolve().parent.parent
LOOP, IN_PROCESS = "tutorial's Python loop", "generate in process"
REST, STREAM, SINGLE = "REST generate", "REST stream", "REST, one character per request"
PREVIOUS = "REST generate, previous"


def random_export(directory: str, embedding: int, units: int) -> None:
    random = np.random.default_rng(0)

    def normal(*shape: int) -> Any:
        return np.asarray(random.standard_normal(shape) * 0.08, np.float32)

    ids = len(CHARACTERS) + 1
    gru = (normal(embedding, 3 * units), normal(units, 3 * units), normal(2, 3 * units))
    weights = Weights(normal(ids, embedding), [gru], normal(units, ids), normal(ids))
    vocabulary = Vocabulary(tuple(map(ord, CHARACTERS)))
    export.save(OneStep(weights, vocabulary, Defaults(300, 0.8, 0, 100_000)), directory, MODEL, 1.5)


@contextlib.contextmanager
def embedded_server(serving_dir: Path, checkout: Path = ROOT) -> Iterator[tuple[str, int]]:
    """Start a checkout's embedded server on a free port of the loopback interface; yield address and process id."""
    config = serving_dir / "models.config"
    config.write_text(f'model_config_list {{ config {{ name: "{MODEL}" base_path: "{serving_dir / MODEL}" }} }}\n')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "serving.embedded", f"--rest_api_port={port}", f"--model_config_file={config}"]
    command.append("--rest_api_timeout_in_ms=3600000")
    log = (serving_dir / "server.log").open("w")
    server = subprocess.Popen(command, cwd=checkout, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            if server.poll() is not None:
                raise SystemExit(f"The server ended: {(serving_dir / 'server.log').read_text()[-2000:]}")
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/v1/models/{MODEL}").is_success:
                    break
            time.sleep(0.2)
        yield url, server.pid
    finally:
        server.terminate()
        server.wait()


def in_process(directory: str) -> Callable[[int, int], list[float]]:
    """Return a function that calls the SavedModel's `generate` with one batch."""
    generate = tf.saved_model.load(directory).signatures["generate"]

    def run(rows: int, chars: int) -> list[float]:
        began = time.perf_counter()
        generate(
            prompt=tf.constant(["ROMEO:"] * rows),
            num_chars=tf.fill([rows], chars),
            temperature=tf.fill([rows], 0.8),
            top_k=tf.zeros([rows], tf.int32),
            seed=tf.range(rows, dtype=tf.int64),
        )["text"].numpy()
        return [time.perf_counter() - began]

    return run


def tutorial(embedding: int, units: int) -> Callable[[int, int], list[float]]:
    model = TutorialOneStep(CHARACTERS, embedding, units)

    def run(rows: int, chars: int) -> list[float]:
        began = time.perf_counter()
        model.generate(["ROMEO:"] * rows, chars)
        return [time.perf_counter() - began]

    return run


def clients(url: str, one: Callable[[Client, int, int], list[float]]) -> Callable[[int, int], list[float]]:
    """Return a function that runs `one`, which returns seconds per request, in clients that stay connected."""
    opened: list[Client] = []

    def run(rows: int, chars: int) -> list[float]:
        opened.extend(Client(url, model=MODEL) for _ in range(rows - len(opened)))
        with ThreadPoolExecutor(rows) as pool:
            return [seconds for found in pool.map(one, opened[:rows], [chars] * rows, range(rows)) for seconds in found]

    return run


def one_call(client: Client, chars: int, seed: int) -> list[float]:
    began = time.perf_counter()
    client.generate("ROMEO:", num_chars=chars, temperature=0.8, seed=seed)
    return [time.perf_counter() - began]


def streamed(client: Client, chars: int, seed: int) -> list[float]:
    """Return the seconds until the first characters."""
    began, first = time.perf_counter(), None
    for _ in client.stream("ROMEO:", num_chars=chars, temperature=0.8, seed=seed):
        first = first or time.perf_counter() - began
    return [first or 0.0]


def one_by_one(client: Client, chars: int, seed: int) -> list[float]:
    seconds, last = [], time.perf_counter()
    for _ in client.stream("ROMEO:", num_chars=chars, temperature=0.8, seed=seed, chunk_chars=1):
        now = time.perf_counter()
        seconds.append(now - last)
        last = now
    return seconds


def score_memory(url: str, process: int, characters: int) -> dict[str, float]:
    """Return the peak of resident memory that one request to score adds to the server, and its seconds."""
    text = "".join(np.random.default_rng(1).choice(list(CHARACTERS), characters))

    def resident(name: str) -> float:
        (line,) = re.findall(rf"{name}:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
        return int(line) / 1024

    with Client(url, model=MODEL, timeout=3600) as client:
        client.score(text[:1000])
        Path(f"/proc/{process}/clear_refs").write_text("5")  # resets the peak
        before, began = resident("VmRSS"), time.perf_counter()
        client.score(text)
        seconds = time.perf_counter() - began
    return {"characters": characters, "mebibytes": resident("VmHWM") - before, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=512)
    parser.add_argument("--embedding", type=int, default=64)
    parser.add_argument("--chars", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, nargs="+", default=CONCURRENCY, help="rows of a batch, or clients")
    parser.add_argument("--only", nargs="+", default=[""], metavar="WAY", help="measure ways whose name contains this")
    parser.add_argument("--score", type=int, metavar="CHARS")
    parser.add_argument("--url", help="a running TF Serving instead of the embedded server")
    parser.add_argument("--previous", type=Path, help="another checkout, whose server is measured, too")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        serving_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="serving-benchmark-")))
        version = str(serving_dir / MODEL / "1")
        random_export(version, options.embedding, options.units)
        url, server = options.url, None
        if not url:
            url, server = stack.enter_context(embedded_server(serving_dir))
        scored = score_memory(url, server, options.score) if options.score and server else {}
        ways: dict[str, Any] = {
            LOOP: (tutorial(options.embedding, options.units), options.chars // 4),
            IN_PROCESS: (in_process(version), options.chars),
            REST: (clients(url, one_call), options.chars),
            STREAM: (clients(url, streamed), options.chars),
            SINGLE: (clients(url, one_by_one), options.chars // 10),
        }
        if options.previous:
            previous, _ = stack.enter_context(embedded_server(serving_dir, options.previous))
            ways[PREVIOUS] = clients(previous, one_call), options.chars
        ways = {name: way for name, way in ways.items() if any(part in name for part in options.only)}
        results = measure(ways, options.rows, options.rounds) if options.rounds else []
        # A character reads the recurrent weights and those of the output; of the embedding's table it reads one row.
        weights = 4e-6 * (3 * options.units**2 + options.units * (len(CHARACTERS) + 1))
        bandwidths = {"memory": machine.read_bandwidth(512), "caches": machine.read_bandwidth(weights)}
    if scored:
        print("score: {characters:,} characters, +{mebibytes:.0f} MiB, {seconds:.1f} s".format(**scored))
    if results:
        show(results, options)
        show_floor(results, weights, bandwidths)
    if options.json:
        options.json.write_text(
            json.dumps(
                {"cores": os.cpu_count(), **vars(options), "score": scored, "results": results}, default=str, indent=2
            )
            + "\n"
        )


def show_floor(results: list[dict[str, Any]], megabytes: float, bandwidths: dict[str, float]) -> None:
    """Compare the time of a character, one row in process, with that of reading the weights once."""
    rates = [one["characters_per_second"] for one in results if (one["way"], one["rows"]) == (IN_PROCESS, 1)]
    for rate in rates:
        for place, bandwidth in bandwidths.items():
            floor = megabytes * 1e6 / bandwidth
            print(
                f"{megabytes:.1f} MB of weights, read once a character from the {place} at {bandwidth / 1e9:.1f} GB/s: "
                f"{floor * 1e6:.0f} µs; generate in process takes {1 / rate / floor:.2f} times as long"
            )


def measure(ways: dict[str, Any], concurrency: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    """Measure every way once per round, so that slow periods of the machine affect all of them."""
    rates: dict[tuple[str, int], list[float]] = {}
    latencies: dict[tuple[str, int], list[float]] = {}
    for rows in concurrency:
        for run, _ in ways.values():
            run(rows, 40)  # tracing, connections, first memory access, the server's first measurement of its speed
        for _ in range(rounds):
            for name, (run, chars) in ways.items():
                began = time.perf_counter()
                seconds = run(rows, chars)
                rates.setdefault((name, rows), []).append(rows * chars / (time.perf_counter() - began))
                latencies.setdefault((name, rows), []).extend(seconds)
    return [
        {
            "way": name,
            "rows": rows,
            "characters_per_second": statistics.median(rates[name, rows]),
            "p50_ms": 1e3 * float(np.percentile(latencies[name, rows], 50)),
            "p99_ms": 1e3 * float(np.percentile(latencies[name, rows], 99)),
            "ratios": {other: _ratio(rates[name, rows], rates[other, rows]) for other in ways},
        }
        for rows in concurrency
        for name in ways
    ]


def _ratio(one: list[float], other: list[float]) -> float:
    """Return the median over the rounds of the ratio of two rates in the same round."""
    return statistics.median(a / b for a, b in zip(one, other))


def show(results: list[dict[str, Any]], options: argparse.Namespace) -> None:
    table = Table(title=f"GRU {options.units}, embedding {options.embedding}, {options.chars} characters per request")
    compared = [name for name in (LOOP, IN_PROCESS, PREVIOUS) if name in results[0]["ratios"]]
    names = "way", "rows or clients", "characters/s", "p50 ms", "p99 ms", *(f"x {name}" for name in compared)
    for name in names:
        table.add_column(name, justify="left" if name == "way" else "right")
    for one in results:
        table.add_row(
            one["way"],
            str(one["rows"]),
            f"{one['characters_per_second']:,.0f}",
            f"{one['p50_ms']:.1f}",
            f"{one['p99_ms']:.1f}",
            *(f"{one['ratios'][name]:.2f}" for name in compared),
        )
    console = Console(width=140)
    console.print(table)
    console.print(
        "Milliseconds are per call; until the first characters for REST stream; per character for one per request. "
        "Ratios are medians of those of each round."
    )
    rate = {(one["way"], one["rows"]): one["characters_per_second"] for one in results}
    if {(REST, 1), (REST, 16)} <= rate.keys():
        console.print(f"16 clients compared with one: {rate[REST, 16] / rate[REST, 1]:.2f} times the characters/s")
    if {(REST, 1), (STREAM, 1)} <= rate.keys():
        console.print(f"Streaming compared with one call: {rate[REST, 1] / rate[STREAM, 1] - 1:+.0%} time")


if __name__ == "__main__":
    main()
