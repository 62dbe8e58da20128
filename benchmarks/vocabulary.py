"""Training with large vocabularies: step times by the size of the vocabulary, and the loss with a sampled softmax.

    python benchmarks/vocabulary.py [--sizes 66 6000 20000] [--full] [--rounds 7] [--json FILE]
    python benchmarks/vocabulary.py --words TEXT [TEXT ...] [--samples 0 255 511] [--seeds 1 2] [--json FILE]

Without `--words`: step times of `quick` on characters with the frequencies of Zipf's law, with the softmax that
`training.sampled_softmax=auto` chooses and with `--full` the full softmax as well, and the time of an evaluation, which
always has the full softmax. Sizes alternate; the medians count, and ratios are to the first size.

With `--words`: the words of the texts are the characters of one text, a large alphabet with the statistics of real
text. A small model (`--set` changes it) is trained on it with each `training.sampled_softmax` (0: full softmax) for
equally many steps; the eval losses are nats per character by the full softmax.
"""

import argparse
import contextlib
import json
import os
import re
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks import batches, corpus, machine
from benchmarks.arithmetic import medians
from benchmarks.workers import Worker
from pipeline.config import overrides
from trainer import fitting
from trainer.data import documents
from trainer.plan import choices
from transform.vocabulary import Vocabulary

WARM_UP = 2  # steps that do not count
FIRST_CHARACTER = 0x20000  # of the words: the supplementary planes, most of which are for Chinese characters
SMALL = (  # what `--words` trains: a few minutes with the full softmax
    "model.units=256",
    "training.steps=600",
    "training.eval_every=150",
    "training.batch_size=32",
    "training.sequence_length=64",
    "training.early_stopping=0",
    "training.sample_chars=0",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[66, 6_000, 20_000], help="ids of the vocabularies")
    parser.add_argument("--full", action="store_true", help="time the full softmax of every size as well")
    parser.add_argument("--words", nargs="+", metavar="TEXT", help="UTF-8 text files")
    parser.add_argument("--samples", nargs="+", type=int, default=[0, choices.SAMPLED], help="with --words")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1], help="with --words")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for local_runner.py")
    parser.add_argument("--steps", type=int, default=3, help="per turn")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    about = machine.describe(None)
    print(machine.line(about), flush=True)
    found: list[dict[str, Any]] = []
    for one in losses(options) if options.words else step_times(options):
        found.append(one)
        print(one.pop("line"), flush=True)
    if options.json:
        shown = {**vars(options), "json": str(options.json)}
        options.json.write_text(json.dumps({"machine": about, "options": shown, "found": found}, indent=2) + "\n")


def zipf(size: int, characters: int) -> fitting.Data:
    """Return random text over `size` ids, of which the one with rank r is sampled 1/r times as often as the first."""
    weights = 1.0 / np.arange(1, size)
    ids = np.random.default_rng(1).choice(size - 1, size=characters, p=weights / weights.sum()).astype(np.int32)
    split = documents.Split(("text",), np.array([characters], np.int64), ids)
    return fitting.Data(Vocabulary(tuple(range(size - 1))), split, split, "")


def step_times(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Time the steps of each size with the full and the chosen softmax, alternating."""
    count = WARM_UP + options.rounds * options.steps
    found: list[dict[str, Any]] = []
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="vocabulary-benchmark-"))
        for size in options.sizes:
            chosen, _ = choices.sampled_softmax(size)
            for sampled in sorted({chosen, 0} if options.full else {chosen}):
                settings = ["training.batch_size=64", *options.set, f"training.sampled_softmax={sampled}"]
                wanted = overrides.load("quick", settings)
                characters = int(wanted.training.batch_size) * wanted.training.sequence_length * (count + 2) + 1
                text = zipf(size, characters)
                config = batches.resolved(wanted, text)
                job = batches.make(config, text, count, Path(directory, f"{size}-{sampled}"))
                message = job.message(config, threads=options.threads, total_steps=job.total_steps)
                worker = stack.enter_context(Worker("ours", message))
                worker.ask({"steps": WARM_UP})
                found.append({"size": size, "sampled": sampled, "worker": worker, "turns": []})
        for one in [one for _ in range(options.rounds) for one in found]:
            one["turns"].append(one["worker"].ask({"steps": options.steps}))
        for one in found:
            one["evaluation"] = [one["worker"].ask({"evaluate": True}) for _ in range(2)][-1]
    for one in found:
        del one["worker"]
        one |= medians(one["turns"])
        evaluation = one["evaluation"]["wall"] / one["evaluation"]["characters"] * 1e6
        one["line"] = (
            f"{one['size']:7,} ids, {one['sampled'] or 'all':>5} sampled: {one['wall']:7.3f} s/step, "
            f"{one['cpu']:7.3f} CPU s/step, x {one['wall'] / found[0]['wall']:6.2f} of the first size; "
            f"evaluation {evaluation:7.1f} us/character"
        )
    return found


def words_as_characters(text: str) -> str:
    """Replace each different word, and each different character between words but the space, by another character.

    >>> words_as_characters("to be or not to be") == "".join(map(chr, [131072, 131073, 131074, 131075, 131072, 131073]))
    True
    """
    tokens = [token for token in re.findall(r"[^\W\d_]+|[\W\d_]", text) if token != " "]
    codes = {token: FIRST_CHARACTER + i for i, token in enumerate(dict.fromkeys(tokens))}
    return "".join(chr(codes[token]) for token in tokens)


def losses(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Train with each sample and seed; return the eval losses."""
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="vocabulary-benchmark-") as directory:
        path = Path(directory, "text.txt")
        texts = [Path(name).read_text(encoding="utf-8") for name in options.words]
        path.write_text(words_as_characters("\n".join(texts)), encoding="utf-8")
        size = corpus.load(str(path)).vocabulary.size
        for sampled in options.samples:
            curves = []
            for seed in options.seeds:
                settings = [*SMALL, *options.set, f"seed={seed}", f"training.sampled_softmax={sampled}"]
                config = overrides.load("quick", settings).model_dump(include={"seed", "model", "training"})
                with Worker("our_fit", {"corpus": str(path), "threads": options.threads}) as worker:
                    request = {**config, "directory": str(Path(directory, f"{sampled}-{seed}"))}
                    curves.append(worker.ask(request)["curve"])
            least = [min(at["loss"] for at in curve) for curve in curves]
            seconds = statistics.fmean(curve[-1]["cpu"] for curve in curves)
            line = (
                f"{size:,} ids, {sampled or 'all'} sampled: best eval loss {statistics.fmean(least):.4f} nats, "
                f"of seeds {', '.join(f'{one:.4f}' for one in least)}; {seconds:,.0f} CPU s of training"
            )
            found.append({"size": size, "sampled": sampled, "curves": curves, "line": line})
    return found


if __name__ == "__main__":
    main()
