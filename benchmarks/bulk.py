"""Characters per second of a bulk job, compared with calls of the same export in this process.

    python benchmarks/bulk.py [--units 512] [--prompts 10000] [--chars 100] [--mixed] [--rounds 3]

Both generate the same texts from the same prompts, in turn: the job with all that it does from the file of prompts to
that of texts, its load of the model included; in process, batches of 64 prompts in the order of the file, with a model
that is loaded before. With `--mixed` the prompts ask for one character up to twice `--chars`, at random. The weights
are random: the speed does not depend on their values.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

from benchmarks import machine
from benchmarks.serving import MODEL, random_export
from components import beam, lean_imports
from serving.bulk import job
from serving.bulk.inference import BATCH_ROWS
from serving.bulk.lines import Task
from serving.client.options import GenerateOptions

_SHARD_LINES = 1_024  # as `python -m serving bulk`
_SEED = 7


def prompts(count: int, chars: int, mixed: bool) -> list[dict[str, Any]]:
    """Return the lines of the input: the beginnings of a name, and numbers of characters."""
    source = random.Random(0)
    counts = (source.randint(1, 2 * chars) if mixed else chars for _ in range(count))
    return [{"prompt": "ROMEO:\n"[: source.randint(0, 7)], "num_chars": one} for one in counts]


def in_process(generate: Any, lines: Sequence[dict[str, Any]]) -> list[str]:
    """Generate in batches, in the order of the lines."""
    texts: list[str] = []
    for first in range(0, len(lines), BATCH_ROWS):
        batch = lines[first : first + BATCH_ROWS]
        found = generate(
            prompt=tf.constant([one["prompt"] for one in batch]),
            num_chars=tf.constant([one["num_chars"] for one in batch]),
            temperature=tf.fill([len(batch)], GenerateOptions.temperature),
            top_k=tf.zeros([len(batch)], tf.int32),
            seed=tf.range(_SEED + first, _SEED + first + len(batch), dtype=tf.int64),
        )
        texts += [text.decode() for text in found["text"].numpy()]
    return texts


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=512)
    parser.add_argument("--embedding", type=int, default=64)
    parser.add_argument("--prompts", type=int, default=10_000)
    parser.add_argument("--chars", type=int, default=100)
    parser.add_argument("--mixed", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="write all measurements")
    options = parser.parse_args(argv)
    about = machine.describe(None)
    print(machine.line(about), flush=True)
    lean_imports.beam()
    lines = prompts(options.prompts, options.chars, options.mixed)
    total = sum(one["num_chars"] for one in lines)
    seconds: dict[str, list[float]] = {"in process": [], "bulk": []}
    with tempfile.TemporaryDirectory() as folder:
        export = os.path.join(folder, "export")
        random_export(export, options.embedding, options.units)
        source, output = os.path.join(folder, "prompts.jsonl"), os.path.join(folder, "texts.jsonl")
        Path(source).write_text("".join(json.dumps(one) + "\n" for one in lines))
        task = Task(GenerateOptions(seed=_SEED))
        work = job.Job(source, output, export, MODEL, task, _SHARD_LINES, beam.arguments(()))
        generate = tf.saved_model.load(export).signatures["generate"]
        in_process(generate, lines[:BATCH_ROWS])  # the first call prepares the graph
        for _ in range(options.rounds):
            began = time.perf_counter()
            texts = in_process(generate, lines)
            seconds["in process"].append(time.perf_counter() - began)
            began = time.perf_counter()
            job.run(work, True, lambda _: None, lambda *_: None)
            seconds["bulk"].append(time.perf_counter() - began)
            with open(output, encoding="utf-8") as file:
                assert [json.loads(line)["text"] for line in file] == texts, "the texts differ"
    for name, found in seconds.items():
        print(f"{name:<12}{total / statistics.median(found):>10,.0f} characters/s{statistics.median(found):>8.1f} s")
    ratios = [one / other for one, other in zip(seconds["in process"], seconds["bulk"])]
    print(f"bulk / in process: {statistics.median(ratios):.2f} (rounds: {', '.join(f'{one:.2f}' for one in ratios)})")
    if options.json:
        Path(options.json).write_text(json.dumps({"machine": about, "characters": total, "seconds": seconds}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
