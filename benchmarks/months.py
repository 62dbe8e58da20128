"""Five months of a corpus that grows by spans: what each run trains on, reports, pushes, and gains by a warm start.

    python benchmarks/months.py --corpora DIRECTORY

Each month is a new span of `--chars` characters of Shakespeare and Great Expectations in changing shares, and one run
of `local_runner.py` on the newest two spans, with a holdout of Shakespeare and `training.warm_start`: when most of a
window is of the other text, a version may be withheld. A second root trains from scratch on the same spans with the
same number of steps, so with the same CPU time for training; in the first month both are the same.

The program ends with 1 if a month has not the right spans, reports drift where the shares have not changed, or none
where they have, decides otherwise than its figures say, or is not better than from scratch.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import machine
from components.ingest.text import clean

ROOT = Path(__file__).resolve().parent.parent
SHARES = (0.0, 0.0, 0.5, 0.5, 1.0)  # of Great Expectations, by month
WINDOW, MAX_INCREASE, THRESHOLD = 2, 0.02, 14.0
_PHRASES = ("rose by", "above the threshold")  # in the reasons of the Evaluator
TEXTS = ("shakespeare.txt", "great_expectations.txt")
SETTINGS = {
    "corpus.window": WINDOW,
    "model.units": 128,
    "training.steps": 300,
    "training.warmup_steps": 20,
    "training.batch_size": 32,
    "training.sequence_length": 50,
    "training.eval_every": 100,
    "training.learning_rate": 0.005,
    "training.sample_chars": 0,
    "training.measured_chars": 0,
    "evaluation.threshold": THRESHOLD,
    "evaluation.max_increase": MAX_INCREASE,
}


@dataclass(frozen=True)
class Month:
    """The results of the runs of a month.

    Attributes:
      number: from 1.
      warm: summary of the run that starts from the last blessed model.
      scratch: of the one that does not.
    """

    number: int
    warm: dict[str, Any]
    scratch: dict[str, Any]

    @property
    def changed(self) -> bool:
        """Whether the shares of the new span are others than those before."""
        return self.number > 1 and SHARES[self.number - 1] != SHARES[self.number - 2]

    def complaints(self) -> list[str]:
        """Return what is not as it should be. Example: tests/benchmarks/test_months.py."""
        found = []
        spans = [str(month) for month in range(max(1, self.number - WINDOW + 1), self.number + 1)]
        if self.warm["spans"] != spans:
            found.append(f"trained on the spans {self.warm['spans']} and not on {spans}")
        if bool(self.warm["drift"]) != self.changed:
            found.append(f"drift: {self.warm['drift']}")
        expected, reasons = self.expected_reasons(), self.warm["reasons"]
        stated = [phrase for phrase in _PHRASES if any(phrase in reason for reason in reasons)]
        if (stated, len(reasons)) != (expected, len(expected)) or bool(self.warm["pushed_version"]) == bool(expected):
            found.append(f"version {self.warm['pushed_version']}, reasons {reasons}, expected {expected}")
        if self.number > 1 and self.warm["perplexity"] >= self.scratch["perplexity"]:
            found.append("not better than from scratch")
        return found

    def expected_reasons(self) -> list[str]:
        """Return a phrase of each reason to withhold the version, as the figures have it."""
        perplexity, baseline = self.warm["perplexity"], self.warm["baseline_perplexity"]
        worse = baseline is not None and perplexity > baseline * (1 + MAX_INCREASE)
        return [phrase for phrase, holds in zip(_PHRASES, (worse, perplexity > THRESHOLD)) if holds]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, metavar="DIRECTORY", default=os.environ.get("CORPORA"), help="of both")
    parser.add_argument("--chars", type=int, default=40_000, help="characters of a month")
    options = parser.parse_args()
    print(machine.line(machine.describe(None)))
    print(
        f"{'month':>5}  {'Great Expectations':>18}  {'spans':>5}  {'drift':>5}  {'baseline':>8}  {'warm':>6}  "
        f"{'scratch':>7}  decision",
        flush=True,
    )
    complaints = []
    with tempfile.TemporaryDirectory(prefix="months-") as name:
        folder = Path(name)
        texts = [clean((options.corpora / text).read_text(encoding="utf-8")) for text in TEXTS]
        (folder / "holdout.txt").write_text(texts[0][-10_000:], encoding="utf-8")
        for number in range(1, len(SHARES) + 1):
            write_span(folder / "texts" / str(number), texts, number, options.chars)
            warm = run(folder, "warm", True)
            month = Month(number, warm, run(folder, "scratch", False) if number > 1 else warm)
            print(row(month), flush=True)
            complaints += [f"month {number}: {complaint}" for complaint in month.complaints()]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{used.ru_utime + used.ru_stime:.0f} CPU seconds")
    print("\n".join(complaints) or "as it should be")
    return bool(complaints)


def write_span(folder: Path, texts: list[str], number: int, chars: int) -> None:
    """Write a month's part of each text, which no other month has."""
    folder.mkdir(parents=True)
    for name, text, share in zip(TEXTS, texts, (1 - SHARES[number - 1], SHARES[number - 1])):
        if share:
            part = text[(number - 1) * chars :][: round(share * chars)]
            (folder / name).write_text(part, encoding="utf-8")


def run(folder: Path, root: str, warm_start: bool) -> dict[str, Any]:
    """Run the pipeline and return its summary."""
    values = {**SETTINGS, "corpus.holdout": folder / "holdout.txt", "training.warm_start": str(warm_start).lower()}
    command = [sys.executable, "local_runner.py", "--corpus", f"{folder}/texts/{{SPAN}}/*.txt", "--root"]
    command += [str(folder / root), "--summary", str(folder / "summary.json")]
    done = subprocess.run(
        [*command, *(f"--set={key}={value}" for key, value in values.items())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 3):
        raise SystemExit(done.stdout + done.stderr)
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return summary


def row(month: Month) -> str:
    """Return a row of the table."""
    warm, scratch = month.warm, month.scratch
    version, baseline = warm["pushed_version"], warm["baseline_perplexity"]
    decision = f"pushed {version}" if version else f"withheld: {'; '.join(warm['reasons'])}"
    return (
        f"{month.number:>5}  {SHARES[month.number - 1]:>18.0%}  {', '.join(warm['spans']):>5}  "
        f"{'yes' if warm['drift'] else 'no':>5}  {f'{baseline:.3f}' if baseline else '-':>8}  "
        f"{warm['perplexity']:>6.3f}  {scratch['perplexity']:>7.3f}  {decision}"
    )


if __name__ == "__main__":
    sys.exit(main())
