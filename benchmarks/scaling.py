"""Cost by size of the text, size of the model, and number of replicas.

    python benchmarks/scaling.py CORPUS [--megabytes 1 10 100] [--evaluate 10] [--units 128 256 512 1024] [--json FILE]

The text is CORPUS, repeated and cut to size, with one character in a hundred replaced by another character of the text,
so that no two passages are the same. The pipeline's components prepare it, and the trainer's functions load it and
train on it, with the settings of `quick`. CPU seconds are per million characters of the text; for training, per million
characters trained on. The Evaluator runs on the eval split, a tenth of the text, with the batches of passages that TFMA
chooses and with those that the pipeline sets. Step times are those of the trainer's step; sizes and replicas alternate.
Replicas are logical CPUs (`training.strategy=mirrored`) that share the global batch and the same cores: they measure
the cost of distribution.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks import batches, corpus, machine
from benchmarks.arithmetic import medians, operations
from benchmarks.workers import Failed, Worker
from pipeline.config import overrides

NOISE = 0.01  # of the characters
WARM_UP = 2  # steps that do not count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", metavar="CORPUS")
    parser.add_argument(
        "--megabytes", nargs="*", type=float, default=[1, 10, 100], help="sizes of the text; none: skip"
    )
    parser.add_argument(
        "--evaluate", nargs="*", type=float, default=[10], help="sizes with which the Evaluator runs, too"
    )
    parser.add_argument("--units", nargs="*", type=int, default=[128, 256, 512, 1024])
    parser.add_argument("--layers", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--replicas", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for local_runner.py")
    parser.add_argument("--steps", type=int, default=5, help="per turn, and for each text")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    about = machine.describe(None)
    print(machine.line(about))
    shown = {**vars(options), "json": str(options.json)}
    texts: list[dict[str, Any]] = []
    found: dict[str, Any] = {"machine": about, "options": shown, "texts": texts}

    def save() -> None:
        if options.json:
            options.json.write_text(json.dumps(found, indent=2) + "\n")

    for megabytes in options.megabytes:
        print(f"{megabytes:g} MB ...", flush=True)
        try:
            texts.append({"megabytes": megabytes, **measure_text(megabytes, options)})
        except Failed as failure:
            texts.append({"megabytes": megabytes, "left_out": str(failure)})
        save()
    if texts:
        print("\n".join(["", *text_table(texts), *evaluator_table(texts)]), flush=True)
    if options.rounds:
        print("\nsizes and replicas ...", flush=True)
        found["models"] = step_times(options)
        save()
        print("\n".join(["", *model_table(found["models"])]))


def noisy(text: str, characters: int, seed: int) -> str:
    """Repeat a text to a length, and replace characters by others of the text at the rate NOISE."""
    random = np.random.default_rng(seed)
    own = np.array(sorted(set(map(ord, text))), np.uint32)
    points = np.resize(np.frombuffer(text.encode("utf-32-le"), np.uint32), characters).copy()
    places = random.integers(characters, size=int(characters * NOISE))
    points[places] = random.choice(own, size=len(places))
    return points.tobytes().decode("utf-32-le")


def measure_text(megabytes: float, options: argparse.Namespace) -> dict[str, Any]:
    """Run the components and some training steps on a text of this many million characters."""
    with tempfile.TemporaryDirectory(prefix="scaling-benchmark-") as directory:
        path = Path(directory, "text.txt")
        text = Path(options.corpus).read_text(encoding="utf-8")
        path.write_text(noisy(text, round(megabytes * 1e6), seed=1), encoding="utf-8")
        with Worker("pipeline_stages", {"settings": options.set, "threads": options.threads}) as worker:
            request = {"text": str(path), "root": str(Path(directory, "root")), "steps": options.steps}
            request["evaluate"] = megabytes in options.evaluate
            return worker.ask(request)


def step_times(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Time the steps of `quick` at each size, and at its own size with each number of replicas, alternating."""
    text = corpus.load(options.corpus)
    count = WARM_UP + options.rounds * options.steps
    sizes = [(units, layers, 1) for layers in options.layers for units in options.units]
    own = overrides.load("quick", options.set).model
    sizes += [(own.units, own.layers, replicas) for replicas in options.replicas]
    found, workers = list[dict[str, Any]](), list[Worker | None]()
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="scaling-benchmark-"))
        for place, (units, layers, replicas) in enumerate(sizes):
            settings = [*options.set, f"model.units={units}", f"model.layers={layers}"]
            if replicas > 1:
                settings += ["training.strategy=mirrored", f"training.logical_cpus={replicas}"]
            config = batches.resolved(overrides.load("quick", settings), text)
            job = batches.make(config, text, count, Path(directory, str(place)), replicas)
            model = config["model"]
            one = {"units": units, "layers": layers, "replicas": replicas, "batch": job.rows, "length": job.length}
            one["operations"] = operations(model, job.vocabulary_size, job.rows, job.length)
            try:
                message = job.message(config, threads=options.threads, total_steps=job.total_steps)
                worker = stack.enter_context(Worker("ours", message))
                worker.ask({"steps": WARM_UP})
            except Failed as failure:
                workers.append(None)
                found.append({**one, "left_out": str(failure)})
            else:
                workers.append(worker)
                found.append({**one, "turns": []})
        for _ in range(options.rounds):
            for place, asked in enumerate(workers):
                try:
                    if asked:
                        found[place]["turns"].append(asked.ask({"steps": options.steps}))
                except Failed as failure:
                    workers[place], found[place]["left_out"] = None, str(failure)
    return [one if "left_out" in one else {**one, **medians(one["turns"])} for one in found]


def text_table(texts: list[dict[str, Any]]) -> list[str]:
    """Return CPU seconds per million characters: a row for each stage, a column for each text.

    The last column is the cost of a further million without start-up: the slope from the shortest text to the longest.
    """
    failed = [f"{text['megabytes']:g} MB is left out: {text['left_out']}" for text in texts if "left_out" in text]
    texts = [text for text in texts if "left_out" not in text]
    if not texts:
        return failed
    by_length = sorted(texts, key=lambda text: text["characters"])
    least, most = by_length[0], by_length[-1]
    further = (most["characters"] - least["characters"]) / 1e6
    heads = [f"{text['megabytes']:g} MB" for text in texts] + ["further"] * bool(further)
    lines = [_row("CPU seconds per million characters", heads)]
    for stage in [*texts[0]["stages"], None]:
        cpu = [_cpu(text, stage) / (text["characters"] / 1e6) for text in texts]
        if further:
            cpu.append((_cpu(most, stage) - _cpu(least, stage)) / further)
        lines.append(_row(f"  {stage or 'all until training'}", [f"{round(one, 2) + 0:.2f}" for one in cpu]))
    wall = [sum(stage["wall"] for stage in text["stages"].values()) for text in texts]
    trained = [text["trained"]["cpu"] / (text["trained"]["characters"] / 1e6) for text in texts]
    lines.append(_row("  training, of characters trained on", [f"{one:.2f}" for one in trained]))
    lines.append(_row("wall seconds until training", [f"{one:.1f}" for one in wall]))
    peaks = [max(stage["peak_mib"] for stage in text["stages"].values()) for text in texts]
    lines.append(_row("peak memory until training, MiB", [f"{peak:,.0f}" for peak in peaks]))
    return lines + failed


def evaluator_table(texts: list[dict[str, Any]]) -> list[str]:
    """Return wall and CPU seconds of the Evaluator with both ways to make batches, and how their figures differ."""
    lines = []
    for text in texts:
        if evaluated := text.get("evaluated"):
            adaptive, fixed = evaluated["adaptive"], evaluated["fixed"]
            lines += ["", _row(f"Evaluator, {fixed['characters']:,} characters", ["wall s", "CPU s"])]
            lines += [
                _row(name, [f"{one['wall']:.1f}", f"{one['cpu']:.1f}"])
                for name, one in (("  batches that TFMA chooses", adaptive), ("  batches of a fixed size", fixed))
            ]
            lines.append(_row("  times as fast", [f"{adaptive[cost] / fixed[cost]:.1f}" for cost in ("wall", "cpu")]))
            difference = abs(fixed["perplexity"] / adaptive["perplexity"] - 1)
            lines.append(_row("  relative difference of perplexity", [f"{difference:.0e}"]))
    return lines


def _cpu(text: dict[str, Any], stage: str | None) -> float:
    """Return the CPU seconds of a stage, or of all stages."""
    return sum(cost["cpu"] for name, cost in text["stages"].items() if stage in (name, None))


def _row(name: str, values: list[str]) -> str:
    return f"{name:38}" + "".join(f"{value:>10}" for value in values)


def model_table(models: list[dict[str, Any]]) -> list[str]:
    """Return step times, characters and operations per second, and CPU seconds per million characters."""
    lines = ["  units layers replicas   G op/step   s/step  CPU s/step     char/s  G op/s  CPU s/million characters"]
    for one in models:
        head = f"{one['units']:7}{one['layers']:7}{one['replicas']:9}{one['operations'] / 1e9:12.3g}"
        if "left_out" in one:
            lines.append(f"{head} left out: {one['left_out']}")
            continue
        characters = one["batch"] * one["length"]
        lines.append(
            f"{head}{one['wall']:9.3f}{one['cpu']:12.3f}{characters / one['wall']:11,.0f}"
            f"{one['operations'] / one['wall'] / 1e9:8.0f}{one['cpu'] / characters * 1e6:26.1f}"
        )
    return lines


if __name__ == "__main__":
    main()
