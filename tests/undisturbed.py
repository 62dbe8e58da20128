"""One run of the real pipeline that several files of tests compare something with; all workers share it."""

import fcntl
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import warm

ROOT = Path(__file__).resolve().parent.parent
PASSAGE, UNITS = 700, 48
STEPS, EVALUATED_EVERY = 120, 30
SETTINGS = {
    "model.units": UNITS,
    "model.embedding": 12,
    "model.layers": 2,
    "model.dropout": 0.1,
    "training.batch_size": 32,
    "training.sequence_length": 25,
    "training.steps": STEPS,
    "training.eval_every": EVALUATED_EVERY,
    "training.learning_rate": 0.01,
    "training.checkpoint_seconds": 1,
    "training.sample_chars": 20,
    "training.measured_chars": 0,
    "corpus.passage_length": PASSAGE,
    "evaluation.threshold": 1000.0,
}


@dataclass(frozen=True)
class Undisturbed:
    """Where the run read and wrote, and its result."""

    corpus: Path
    root: Path
    summary: dict[str, Any]


def documents() -> dict[str, str]:
    """Return two documents whose eval parts have characters that their train parts do not have."""
    sample = ROOT / "components" / "sample" / "the_lamp_at_harrow_quay.txt"
    text = sample.read_text(encoding="utf-8")
    first, second = text[:30_000], text[40_000:61_234]
    # Unknown characters near the end of each document, so only in its eval part; one outside the basic plane.
    return {
        "one.txt": first[:28_500] + "Ω!" + first[28_500:] + "\U0001f30a",
        "two.txt": second[:20_000] + "漢字" + second[20_000:],
    }


def command(corpus: Path, root: Path, *settings: str) -> list[str]:
    """Return the command of a run with these settings; the path of its result is that of the root with `.json`."""
    given = [*(f"{key}={value}" for key, value in SETTINGS.items()), *settings]
    options = ["--corpus", str(corpus), "--root", str(root), "--summary", f"{root}.json"]
    return [warm.python(), str(ROOT / "local_runner.py"), *options, *(f"--set={setting}" for setting in given)]


def summary(root: Path) -> dict[str, Any]:
    """Return the result of a run that has ended."""
    return dict(json.loads(Path(f"{root}.json").read_text()))


def run() -> Undisturbed:
    """Return the run, which the first call of a test run makes."""
    directory = warm.directory() / "undisturbed"
    corpus, root = directory / "corpus", directory / "root"
    directory.mkdir(exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not Path(f"{root}.json").exists():
            corpus.mkdir()
            for name, text in documents().items():
                (corpus / name).write_text(text, encoding="utf-8")
            done = subprocess.run(command(corpus, root), cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
    return Undisturbed(corpus, root, summary(root))
