"""Eval nats per character against CPU seconds of training, compared with a small GPT on the same machine.

    uv run --group peers python benchmarks/quality.py CORPUS --presets quick [--seeds 1 2 3] [--json FILE] [--plot FILE]
    python benchmarks/quality.py CORPUS --torch-python OTHER_ENVIRONMENT/bin/python --presets quick best --match quick

The trainings run one after the other, each in a separate process. CPU seconds are user and system time of that
process during training; evaluations and start-up are excluded. The GPT is nanoGPT's published configuration for a CPU
(see `benchmarks/implementations/gpt.py`), trained for its published iterations, and for each preset of `--match` once
more with its schedule stretched to the CPU seconds that the preset took (the mean of its seeds).

With `--json FILE` a command that was interrupted continues when it is repeated: trainings that FILE holds are not
repeated, and one of this project's resumes from its last checkpoint in `FILE.checkpoints`, with the seconds up to it.

A loss depends on the context that a model reads, so each is named: `carried` reads the entire eval text with carried
state; `windows of N` are adjacent, each from the initial state, and every character in them counts; `sliding N` reads
N characters and counts the last half of them, so that every character has at least N / 2 before it.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks import corpus, machine
from benchmarks.workers import Worker
from pipeline.config import overrides

CONTEXTS = ("carried", "windows of 100", "windows of 256", "windows of 64", "sliding 64")
DECISIVE = ("corpus", "set", "threads", "gpt_iterations", "gpt_compile")  # options that change a training
PUBLISHED = 2000  # iterations of the GPT's published configuration
TRIAL = 50  # iterations that measure the cost of an iteration


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", metavar="CORPUS")
    parser.add_argument("--presets", nargs="*", default=["quick"], help="for example quick tutorial best")
    parser.add_argument("--seeds", nargs="+", type=int, default=[42])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for local_runner.py")
    parser.add_argument("--gpt-seeds", nargs="+", type=int, help="default: as --seeds")
    parser.add_argument("--gpt-iterations", type=int, default=PUBLISHED, help="0: no GPT")
    parser.add_argument(
        "--match", nargs="*", default=[], metavar="PRESET", help="also train a GPT for the same CPU seconds"
    )
    parser.add_argument("--gpt-compile", action="store_true", help="use torch.compile, unlike the publication")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--torch-python", metavar="PATH", help="interpreter that can import torch; default: this one")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="plot of the curves, PNG")
    options = parser.parse_args()
    if unknown := [preset for preset in options.match if preset not in options.presets]:
        parser.error(f"--match names presets that are not trained: {', '.join(unknown)}")
    torch_python = machine.find_torch(options.torch_python) if options.gpt_iterations else None
    about = machine.describe(torch_python)
    print(machine.line(about))
    if options.gpt_iterations and torch_python is None:
        print("The GPT is left out: no torch in this environment. Give --torch-python, or run with --group peers.")
    shown = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    runs = finished(options.json, shown) if options.json else []
    print("\n".join([head(), *map(row, runs)]), flush=True)

    def record(run: dict[str, Any]) -> None:
        runs.append(run)
        print(row(run), flush=True)
        if options.json:  # after each one, because a training takes long
            options.json.write_text(json.dumps({"machine": about, "options": shown, "runs": runs}, indent=2) + "\n")

    for preset in options.presets:
        for seed in options.seeds:
            if not is_known(runs, preset, seed):
                record(ours(preset, seed, options))
    if torch_python:
        for run in gpts(options, torch_python, runs):
            record(run)
    for line in summary(runs):
        print(line)
    if options.plot:
        plot(runs, options.plot)


def ours(preset: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train a preset once."""
    settings = ["training.sample_chars=0", *options.set, f"seed={seed}"]
    config = overrides.load(preset, settings).model_dump()
    job = {"corpus": options.corpus, "threads": options.threads}
    with checkpoints(options.json, preset, seed) as directory, Worker("our_fit", job) as worker:
        sections = {name: config[name] for name in ("seed", "model", "training")}
        return {"name": preset, "seed": seed, **worker.ask({**sections, "directory": directory})}


@contextlib.contextmanager
def checkpoints(file: Path | None, preset: str, seed: int) -> Iterator[str]:
    """Give a training a directory, which is deleted when it ends; with `file`, only if it ends well."""
    if file is None:
        with tempfile.TemporaryDirectory(prefix="quality-benchmark-") as directory:
            yield directory
        return
    kept = Path(f"{file}.checkpoints", f"{preset}-{seed}")
    kept.mkdir(parents=True, exist_ok=True)
    yield str(kept)
    shutil.rmtree(kept)


def finished(file: Path, options: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the trainings that a file of an interrupted command holds.

    Raises:
      SystemExit: they had other options.
    """
    if not file.exists():
        return []
    known = json.loads(file.read_text())
    changed = [name for name in DECISIVE if known["options"].get(name) != options[name]]
    if changed:
        listed = ", ".join(f"{name}={known['options'].get(name)}" for name in changed)
        raise SystemExit(
            f"The trainings in this file have other options ({listed}) and cannot be continued. Give another file, or "
            f"delete this one and the directory {file}.checkpoints. Received: --json {file}"
        )
    runs: list[dict[str, Any]] = known["runs"]
    return runs


def is_known(runs: list[dict[str, Any]], name: str, seed: int) -> bool:
    """Whether a training is among those that have ended."""
    return any((run["name"], run["seed"]) == (name, seed) for run in runs)


def gpts(options: argparse.Namespace, python: str, runs: list[dict[str, Any]]) -> Any:
    """Train the GPT: as published, and with the CPU seconds of each preset of `--match`."""
    text = corpus.load(options.corpus)
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="quality-benchmark-"))
        arrays = os.path.join(directory, "ids.npz")
        np.savez(arrays, train=text.train.ids, evaluation=text.evaluation.ids)
        job = {"arrays": arrays, "vocabulary_size": text.vocabulary.size, "compile": options.gpt_compile}

        def train(seed: int, threads: int, **length: float) -> dict[str, Any]:
            with Worker("gpt", {**job, "seed": seed, "threads": threads}, python) as worker:
                return worker.ask(length)

        # So small a model may take more CPU seconds on two threads than on one: it gets the cheapest number.
        names = [
            f"GPT, {options.gpt_iterations:,} iterations",
            *(f"GPT, CPU seconds of {one}" for one in options.match),
        ]
        seeds = options.gpt_seeds or options.seeds
        if all(is_known(runs, name, seed) for name in names for seed in seeds):
            return
        costs = {threads: train(0, threads, iterations=TRIAL)["cpu"] for threads in sorted({1, options.threads})}
        threads = min(costs, key=lambda count: costs[count])
        for seed in seeds:
            if not is_known(runs, names[0], seed):
                run = train(seed, threads, iterations=options.gpt_iterations)
                yield {"name": names[0], "threads": threads, "seed": seed, **run}
        for preset in options.match:
            wanted = statistics.fmean(run["cpu"] for run in runs if run["name"] == preset)
            for seed in seeds:
                name = f"GPT, CPU seconds of {preset}"
                if not is_known(runs, name, seed):
                    run = train(seed, threads, cpu_seconds=wanted)
                    yield {"name": name, "threads": threads, "seed": seed, **run}


def head() -> str:
    """Return the names of the columns of `row`."""
    return f"{'eval nats per character':30}{'seed':>6}{'weights':>11}{'CPU s':>8}{'wall s':>8}" + "".join(
        f"{context:>16}" for context in CONTEXTS
    )


def row(run: dict[str, Any]) -> str:
    """Return the row of one training."""
    return f"{run['name']:30}{run['seed']:6}{run['parameters']:11,}{run['cpu']:8.0f}{run['wall']:8.0f}" + "".join(
        f"{run['nats'][context]:16.4f}" if context in run["nats"] else f"{'':16}" for context in CONTEXTS
    )


def summary(runs: list[dict[str, Any]]) -> list[str]:
    """Return the mean over seeds, and the gap to the GPT with a preset's CPU seconds."""
    lines, by_name = [], dict[str, list[dict[str, Any]]]()
    for run in runs:
        by_name.setdefault(run["name"], []).append(run)
    for name, several in by_name.items():
        if len(several) > 1:
            for context in several[0]["nats"]:
                found = [run["nats"][context] for run in several]
                spread = f"mean {statistics.fmean(found):.4f}, from {min(found):.4f} to {max(found):.4f}"
                lines.append(f"{name}, {context}, {len(found)} seeds: {spread}")
        gpt_runs = by_name.get(f"GPT, CPU seconds of {name}")
        if gpt_runs:
            gpt = {context: _mean(gpt_runs, context) for context in gpt_runs[0]["nats"]}
            best = min(gpt, key=lambda context: gpt[context])
            gaps = ", ".join(
                f"{gpt[best] - _mean(several, context):.3f} in {context}" for context in several[0]["nats"]
            )
            lines.append(f"{name} is better than the GPT of its CPU seconds ({best}: {gpt[best]:.4f}) by {gaps}")
    return lines


def _mean(runs: list[dict[str, Any]], context: str) -> float:
    return statistics.fmean(run["nats"][context] for run in runs)


def plot(runs: list[dict[str, Any]], path: Path) -> None:
    """Plot all evaluations: ours with state carried along parallel streams, the GPT's in its own windows."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5))
    names = list(dict.fromkeys(run["name"] for run in runs))
    for run in runs:
        color = f"C{names.index(run['name']) % 10}"
        first = next(one for one in runs if one["name"] == run["name"])
        label = run["name"] if run is first else None
        costs, losses = ([at[key] for at in run["curve"]] for key in ("cpu", "loss"))
        axes.plot(costs, losses, color=color, marker=".", label=label)
    axes.set(xlabel="CPU seconds of training", ylabel="eval nats per character", xscale="log")
    for formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        formatter("{x:,.0f}")
    axes.tick_params(axis="x", which="minor", labelsize="x-small")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
