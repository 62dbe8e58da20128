"""Speed of training, compared with stock Keras, with PyTorch, and with the machine's peak speed of matrix products.

    uv run --group peers python benchmarks/training.py CORPUS [--sizes tutorial quick best] [--json FILE]
    python benchmarks/training.py CORPUS --torch-python OTHER_ENVIRONMENT/bin/python

CORPUS is a UTF-8 text file. Every implementation is a separate process that trains the same network on the same batches
with the same optimizer, clipping, and number of threads. They alternate in turns of `--steps` steps for `--rounds`
rounds, so that slow periods of the machine affect all of them, and the median of the turns counts. Before that, each
has two turns alone for tracing, compilation, and first memory access. Variational dropout, which the peers' fast layers
do not have, is left out for all. CPU seconds are user and system time of the process. The last column is the mean loss
of the turns: all learn, although their first steps differ (see `docs/benchmarks.md`). The ceiling of the recurrent
product is that of the faster memory layout.

Without bfloat16 instructions (or with ONEDNN_MAX_CPU_ISA=AVX2) nothing is measured in bfloat16. Standard error shows
what is being measured; `torch.compile` takes minutes for each data layout.
"""

import argparse
import contextlib
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks import batches, corpus, machine
from benchmarks.arithmetic import medians, operations, ratio
from benchmarks.workers import Failed, Worker
from pipeline.config import overrides
from serving.graph.cells import KINDS
from trainer import fitting, hardware

OURS, OURS_FLOAT32 = "ours, auto", "ours, float32"
KERAS_FLOAT32, KERAS_BFLOAT16 = "Keras fit, float32", "Keras fit, bfloat16"
TORCH_FLOAT32, TORCH_BFLOAT16 = "torch, float32", "torch, autocast"
TORCH_COMPILED, TORCH_TIME_FIRST = "torch.compile", "compile, time 1st"
IMPLEMENTATIONS = (
    *(OURS, OURS_FLOAT32, KERAS_FLOAT32, KERAS_BFLOAT16),
    *(TORCH_FLOAT32, TORCH_BFLOAT16, TORCH_COMPILED, TORCH_TIME_FIRST),
)
EMULATED = "this processor does not multiply bfloat16; emulation takes minutes"
SQUARE = 2048  # rows and columns of the large product
CEILING_SECONDS = 0.3  # shortest measurement of a product
WARM_UP = 3  # steps in each of the two turns that are not measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", metavar="CORPUS")
    parser.add_argument("--sizes", nargs="+", default=["tutorial", "quick", "best"], help="presets")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for local_runner.py")
    parser.add_argument(
        "--implementations", nargs="+", default=list(IMPLEMENTATIONS), choices=IMPLEMENTATIONS, metavar="NAME"
    )
    parser.add_argument("--steps", type=int, default=5, help="per turn")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--torch-python", metavar="PATH", help="interpreter that can import torch; default: this one")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    torch_python = machine.find_torch(options.torch_python)
    about = machine.describe(torch_python)
    print(machine.line(about))
    if torch_python is None:
        print("PyTorch is left out: no torch in this environment. Give --torch-python, or run with --group peers.")
    text = corpus.load(options.corpus)
    sizes = {}
    for preset in options.sizes:
        sizes[preset] = measure(preset, options, text, torch_python)
        print("\n" + "\n".join(table(preset, sizes[preset])), flush=True)
        if options.json:
            shown = {**vars(options), "json": str(options.json)}
            options.json.write_text(json.dumps({"machine": about, "options": shown, "sizes": sizes}, indent=2) + "\n")


def measure(preset: str, options: argparse.Namespace, text: fitting.Data, torch_python: str | None) -> dict[str, Any]:
    """Measure all implementations at one size."""
    config = batches.resolved(overrides.load(preset, options.set), text)
    count = 2 * WARM_UP + options.rounds * options.steps
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="training-benchmark-"))
        job = batches.make(config, text, count, Path(directory, "batches"))
        message = job.message(config, threads=options.threads, total_steps=job.total_steps)
        found = ceilings(config["model"], job.rows, options.threads, torch_python)
        workers: dict[str, Worker] = {}
        left_out: dict[str, str] = {}

        def enter(name: str, module: str, python: str = sys.executable, **more: Any) -> float:
            """Start an implementation if requested; return the seconds of its second turn, or infinity."""
            if name not in options.implementations:
                return math.inf
            if name in (KERAS_BFLOAT16, TORCH_BFLOAT16) and not hardware.cpu_has_bfloat16():
                left_out[name] = EMULATED
                return math.inf
            say(f"{preset}: {name} ...")
            try:
                worker = stack.enter_context(Worker(module, {**message, **more}, python))
                seconds = [worker.ask({"steps": WARM_UP})["wall"] for _ in range(2)]
            except Failed as failure:
                left_out[name] = str(failure)
                return math.inf
            workers[name] = worker
            say(f"{preset}: {name} is ready, {seconds[-1] / WARM_UP:.2f} s/step")
            return float(seconds[-1])

        enter(OURS, "ours", precision="auto")
        enter(OURS_FLOAT32, "ours", precision="float32")
        enter(KERAS_FLOAT32, "keras_fit", policy="float32")
        enter(KERAS_BFLOAT16, "keras_fit", policy="mixed_bfloat16")
        if torch_python:
            plain = enter(TORCH_FLOAT32, "pytorch", torch_python, autocast=False, compile=False)
            autocast = enter(TORCH_BFLOAT16, "pytorch", torch_python, autocast=True, compile=False)
            # The faster of the two is compiled as well, with either data layout.
            for name, time_first in ((TORCH_COMPILED, False), (TORCH_TIME_FIRST, True)):
                more = {"autocast": autocast < plain, "compile": True, "time_first": time_first}
                enter(name, "pytorch", torch_python, **more)
        turns: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
        for number in range(options.rounds):
            say(f"{preset}: round {number + 1} of {options.rounds}")
            for name, worker in list(workers.items()):
                try:
                    turns[name].append(worker.ask({"steps": options.steps}))
                except Failed as failure:
                    left_out[name] = str(failure)
                    del workers[name], turns[name]
        ready = {name: worker.ready for name, worker in workers.items()}
    if not turns:
        raise SystemExit(f"No implementation could be measured: {left_out}")
    return {
        "model": config["model"],
        "batch": job.rows,
        "length": job.length,
        "operations": operations(config["model"], job.vocabulary_size, job.rows, job.length),
        "ceilings": found,
        "implementations": {name: medians(taken) for name, taken in turns.items()},
        "turns": turns,
        "ready": ready,
        "left_out": left_out,
    }


def say(what: str) -> None:
    """Report what is being measured."""
    print(what, file=sys.stderr, flush=True)


def ceilings(model: dict[str, Any], rows: int, threads: int, torch_python: str | None) -> dict[str, dict[str, float]]:
    """Return operations per second of a square and of the recurrent product, by type, in the fastest library."""
    units, width = model["units"], KINDS[model["cell"]].gates * model["units"]
    shapes = [
        ("square", (SQUARE, SQUARE, SQUARE)),
        ("recurrent", (rows, units, width)),
        ("recurrent", (width, units, rows)),
    ]
    dtypes = ("float32", "bfloat16") if hardware.cpu_has_bfloat16() else ("float32",)
    best: dict[str, dict[str, float]] = {name: {} for name, _ in shapes}
    for library, python in _libraries(torch_python):
        say(f"matrix products, {library} ...")
        with Worker("matmul", {"library": library, "threads": threads}, python) as worker:
            for name, shape in shapes:
                for dtype in dtypes:
                    request = {"shape": shape, "dtype": dtype, "seconds": CEILING_SECONDS}
                    # The fastest of three, because a ceiling is an upper bound.
                    speed = max(worker.ask(request)["per_second"] for _ in range(3))
                    best[name][dtype] = max(best[name].get(dtype, 0.0), speed)
    return best


def _libraries(torch_python: str | None) -> Iterator[tuple[str, str]]:
    yield "tensorflow", sys.executable
    if torch_python:
        yield "torch", torch_python


def table(preset: str, size: dict[str, Any]) -> list[str]:
    """Return the table of one size."""
    model, ceiling, found = size["model"], size["ceilings"], size["implementations"]
    characters = size["batch"] * size["length"]
    lines = [
        f"{preset}: {model['cell']} {model['units']} x {model['layers']}, embedding {model['embedding']}, batch "
        f"{size['batch']}, length {size['length']}; {size['operations'] / 1e9:.3g} G operations per step",
        "machine, G operations/s: "
        + "; ".join(
            f"{name} " + ", ".join(f"{speed / 1e9:,.0f} {dtype}" for dtype, speed in speeds.items())
            for name, speeds in ceiling.items()
        ),
        f"{'':20}   s/step CPU s/step     char/s  x wall   x CPU  x wall/f32  x CPU/f32  of square  of rec.   loss",
    ]
    # Ratios are to the first one listed, and to our float32.
    first = next(iter(found.values()))
    float32 = found.get(OURS_FLOAT32, first)
    for name, one in found.items():
        dtype = size["ready"][name]["precision"]  # selects the ceiling
        speed = size["operations"] / one["wall"]
        lines.append(
            f"{name:20}{one['wall']:9.3f}{one['cpu']:11.3f}{characters / one['wall']:11,.0f}"
            f"{ratio(one, first, 'wall'):8.2f}{ratio(one, first, 'cpu'):8.2f}"
            f"{ratio(one, float32, 'wall'):12.2f}{ratio(one, float32, 'cpu'):11.2f}"
            f"{speed / ceiling['square'][dtype]:11.0%}{speed / ceiling['recurrent'][dtype]:9.0%}{one['loss']:7.3f}"
        )
    lines += [f"{name} is left out: {reason}" for name, reason in size["left_out"].items()]
    return lines


if __name__ == "__main__":
    main()
