"""The default preset on many texts, compared with a random search of the same model family at four times the compute.

    python benchmarks/corpora.py [TEXT ...] [--corpora DIRECTORY] [--results FILE]

A TEXT is a file, or FILE=RULE with `corpus.documents`, for example names.txt=line. In addition to those: the bundled
play, a 20 KB excerpt of Shakespeare, 10 MB of Python source from this interpreter's library, and Shakespeare, Great
Expectations and names.txt where `--corpora` has them. `--no-list` leaves these out.

`--held-out 1000` holds out that many random documents of each TEXT instead of the pipeline's tenth, in which equal
documents are on one side: makemore splits names.txt so, and counts the end of each name, too, as all figures here do.

Each training is a separate process. The search chooses model and training at random, and ends when its trainings have
taken `--compute` times the CPU seconds of the default. Loss is the lowest one of the eval split, in nats per character,
for both; the state is carried to the end of a document. "after" is the share of the CPU seconds of the default after
its exported step. "blessed" compares windows of 256 characters, each from the initial state, with the trigram model,
which is stricter than the Evaluator. Every training is written to `--results`; the same command again continues there.
Delete that file after a change of the defaults.
"""

import argparse
import hashlib
import json
import math
import os
import random
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks import batches, corpus, machine
from benchmarks.workers import Failed, Worker
from components.ingest.corpora import SAMPLE
from components.ingest.documents import FILE
from pipeline.config import overrides
from trainer.data import trigram
from trainer.plan.choices import LONGEST_WINDOW

EXCERPT, SOURCE = 20_000, 10_000_000  # bytes
SHORTEST = 0.25  # of the default's CPU seconds: a search with less left ends


@dataclass(frozen=True)
class Text:
    """A text of the comparison: its name, its file, what one document is, and how many are held out at random."""

    name: str
    path: Path
    documents: str = FILE
    held_out: int = 0

    @property
    def job(self) -> dict[str, Any]:
        """Return how to read it, as `benchmarks.corpus.load` takes it."""
        return {"documents": self.documents, **({"held_out": self.held_out} if self.held_out else {})}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="*", metavar="TEXT")
    parser.add_argument("--corpora", type=Path, metavar="DIRECTORY", default=os.environ.get("CORPORA"))
    parser.add_argument("--held-out", type=int, default=0, metavar="DOCUMENTS", help="of each TEXT, at random")
    parser.add_argument("--no-list", action="store_true", help="only the texts that are given")
    parser.add_argument(
        "--compute", type=float, default=4.0, help="CPU seconds of the search, times the default's; 0: none"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="for the default and the search"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the search")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--results", type=Path, default=Path("output/corpora.jsonl"), metavar="FILE")
    options = parser.parse_args()
    print(machine.line(machine.describe(None)))
    print(head(), flush=True)
    with tempfile.TemporaryDirectory(prefix="corpora-benchmark-") as directory:
        texts = [
            Text(Path(path).name, Path(path), rule or FILE, options.held_out)
            for path, _, rule in (t.partition("=") for t in options.texts)
        ]
        if not options.no_list:
            texts += built_in(options.corpora and Path(options.corpora), Path(directory))
        for text in texts:
            print(row(text.name, *compare(text, options)), flush=True)


def built_in(corpora: Path | None, directory: Path) -> Iterator[Text]:
    """Yield the texts of the list that exist; those that are made are written to the directory."""
    yield Text("play", SAMPLE)
    if corpora:
        for name, rule in (("shakespeare.txt", FILE), ("great_expectations.txt", FILE), ("names.txt", "line")):
            if (corpora / name).is_file():
                yield Text(name, corpora / name, rule)
        if (corpora / "shakespeare.txt").is_file():
            excerpt = directory / "excerpt.txt"
            excerpt.write_bytes((corpora / "shakespeare.txt").read_bytes()[:EXCERPT])
            yield Text("20 KB excerpt", excerpt)
    source = directory / "source.txt"
    with source.open("wb") as file:
        for path in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
            data = path.read_bytes()
            if file.tell() < SOURCE and "site-packages" not in path.parts and _is_text(data):
                file.write(data)
    yield Text("Python source", source)


def compare(text: Text, options: argparse.Namespace) -> tuple[dict[str, Any], list[dict[str, Any]], float]:
    """Train the default, then models of the search.

    Returns:
      The run of the default, those of the search, and the nats per character of the trigram model.
    """
    data = corpus.load(str(text.path), **text.job)
    known = data.vocabulary
    reference = trigram.cross_entropy(
        data.train, data.evaluation, known.size, known.out_of_vocabulary, known.unknown_characters
    )
    always = ["training.sample_chars=0", *options.set]
    default = train(text, always, options)
    resolved = batches.resolved(overrides.load("quick", always), data)["training"]
    rows, length = resolved["batch_size"], resolved["sequence_length"]
    chance, left, trials = random.Random(options.seed), options.compute * default["cpu"], list[dict[str, Any]]()
    while left >= SHORTEST * default["cpu"]:
        settings, characters = draw(chance, default["steps"] * rows, length)
        # What a character costs is known after the first trial of a size; a longer one would exceed the budget.
        characters = min(characters, default["steps"] * rows * left / default["cpu"])
        trials.append(train(text, [*always, *settings(characters)], options))
        left -= trials[-1]["cpu"]
        print(f"{text.name}: {trials[-1]['loss']:.4f} nats; {left:,.0f} CPU s left", file=sys.stderr, flush=True)
    return default, trials, reference


def draw(chance: random.Random, rows_of_default: float, length: int = LONGEST_WINDOW) -> tuple[Any, float]:
    """Draw a member of the family.

    Args:
      rows_of_default: windows that the default trains on, all steps together.
      length: of a window, in characters.

    Returns:
      A function from the number of windows to settings as for `--set`, and that number.
    """
    batch, units = chance.choice((16, 32, 64)) * LONGEST_WINDOW // length, chance.choice((256, 384, 512, 768))
    settings = [
        f"model.units={units}",
        f"model.output_dropout={chance.uniform(0.0, 0.5):.2f}",
        f"model.recurrent_dropout={chance.uniform(0.0, 0.4):.2f}",
        f"training.batch_size={batch}",
        f"training.learning_rate={2e-3 * 4 ** chance.random():.5f}",
        f"training.weight_decay={0.01 * 10 ** chance.random():.4f}",
    ]
    rows = rows_of_default * 2 ** chance.uniform(-1.0, 1.0)
    return lambda count: [*settings, f"training.steps={max(1, round(count / batch))}"], rows


def train(text: Text, settings: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Return the result of a training, from the file of results if it is there."""
    content = hashlib.sha256(text.path.read_bytes()).hexdigest()
    key = {"content": content, **text.job, "settings": settings, "threads": options.threads}
    lines = options.results.read_text().splitlines() if options.results.exists() else []
    for line in map(json.loads, lines):
        if line["key"] == key:
            return line["run"]
    print(f"{text.name}: {' '.join(settings)}", file=sys.stderr, flush=True)
    config = overrides.load("quick", settings)
    job = {"corpus": str(text.path), **text.job, "threads": options.threads}
    request = config.model_dump(include={"seed", "model", "training"})
    with tempfile.TemporaryDirectory(prefix="corpora-benchmark-") as directory, Worker("our_fit", job) as worker:
        try:
            run = worker.ask({**request, "directory": directory})
        except Failed as failure:  # a learning rate that was too high, for example
            print(f"{text.name}: {failure}", file=sys.stderr)
            run = {"cpu": math.inf, "wall": math.inf, "steps": 0, "curve": [], "nats": {}}
    best = min(run["curve"], key=lambda point: point["loss"], default={"loss": math.inf, "cpu": math.inf})
    run |= {"loss": best["loss"], "after": 1.0 - best["cpu"] / run["cpu"] if run["curve"] else 0.0}
    options.results.parent.mkdir(parents=True, exist_ok=True)
    with options.results.open("a") as file:
        file.write(json.dumps({"name": text.name, "key": key, "run": run}) + "\n")
    return run


def head() -> str:
    return f"{'text':24}{'steps':>7}{'CPU s':>8}{'nats':>9}{'search':>9}{'trials':>8}{'ratio':>8}{'after':>7}  blessed"


def row(name: str, default: dict[str, Any], trials: list[dict[str, Any]], reference: float) -> str:
    """Return a line of the table."""
    best = min((trial["loss"] for trial in trials), default=math.nan)
    blessed = default["nats"]["windows of 256"] < reference
    return (
        f"{name[:23]:24}{default['steps']:7,}{default['cpu']:8,.0f}{default['loss']:9.4f}{best:9.4f}{len(trials):8}"
        f"{default['loss'] / best:8.3f}{default['after']:7.0%}  {'yes' if blessed else 'no'} ({reference:.3f})"
    )


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\x00" not in data


if __name__ == "__main__":
    main()
