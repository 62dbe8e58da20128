#!/usr/bin/env python3
"""Kill real runs with SIGKILL at random moments, finish them with the same command, and check what they leave.

python scripts/kill_runs.py 200                # 200 kills, two trials at a time
python scripts/kill_runs.py 20 --cold --jobs 1 # fresh interpreters, not forks of one that has imported the frameworks

Two undisturbed runs show what to expect. A trial starts the command on a new root, kills its process group, and repeats
that on the same root up to seven times; then the command runs to its end. After each kill, everything published must be
complete and no process may be left. After the end, the result must be that of an undisturbed run: weights and metrics
bit by bit, one version, and no file more. Half of the moments are uniform over the duration of an undisturbed run, the
others uniform over its components, however short. --seed decides the moments; which instruction that is, the machine.
"""

import argparse
import json
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import published, run_process  # noqa: E402

MOST_KILLS = 7  # of one trial
AFTER_LAST = "report"  # what a run does after its last component
_PLACES = ("model", "learning_curve", "components")  # places and times in a summary


@dataclass(frozen=True)
class Reference:
    """What undisturbed runs show.

    Attributes:
      stages: names and durations in seconds, in their order; the first one includes the start.
      expected: what they leave.
      result: exit code and summary.
    """

    stages: dict[str, float]
    expected: published.Expected
    result: dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """What happened on one root: the stage of each kill, and what was wrong."""

    root: Path
    kills: list[str]
    faults: list[str]
    seconds: float


def main(argv: list[str] | None = None) -> int:
    """Run the trials and print a table; return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", type=int, metavar="N", help="number of kills")
    parser.add_argument("--seed", type=int, default=0, help="of the moments; default 0")
    parser.add_argument("--corpus", default="sample", help="as for local_runner.py; default sample")
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time; default 2")
    parser.add_argument("--cold", action="store_true", help="start a fresh interpreter for every run")
    options = parser.parse_args(argv)
    console, start = Console(highlight=False, soft_wrap=True), time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="kill-runs-"))
    run = partial(run_process.run, options.corpus, cold=options.cold)
    if not options.cold:
        run_process.import_frameworks()
    with multiprocessing.get_context("fork").Pool(options.jobs) as pool:
        roots = [directory / name / "root" for name in ("undisturbed-1", "undisturbed-2")]
        reference = reference_of(roots, pool.map(partial(_undisturbed, run), roots))
        stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in reference.stages.items())
        console.print(f"undisturbed: perplexity {reference.result['perplexity']}; {stages}")
        plans = planned(options.kills, options.seed)
        roots = [directory / f"trial-{number}" / "root" for number in range(1, len(plans) + 1)]
        trials = list[Trial]()
        for trial in pool.imap_unordered(partial(_attempt, run, reference), zip(roots, plans)):
            trials.append(trial)
            kills = f"{sum(len(each.kills) for each in trials)} of {options.kills} kills"
            console.print(
                f"{trial.root.parent.name}: {trial.seconds:.0f} s, killed in {', '.join(trial.kills)}; {kills}"
            )
            for fault in trial.faults:
                console.print(f"    {fault}", style="red")
    failed = _report(console, trials, reference, time.monotonic() - start)
    if not failed:
        shutil.rmtree(directory)
    return int(failed)


def reference_of(roots: list[Path], runs: list[run_process.Run]) -> Reference:
    """Return what the undisturbed runs have in common.

    Raises:
      SystemExit: one of them failed, or their results differ.
    """
    results = [result_of(root, run) for root, run in zip(roots, runs)]
    if any(result != results[0] or result["code"] != 0 for result in results):
        outputs = " and ".join(str(run.output) for run in runs)
        sys.exit(f"Undisturbed runs fail or differ: see {outputs}. Received: {results}")
    ends = [0.0, *runs[0].ended.values(), runs[0].seconds]
    durations = [end - begin for begin, end in zip(ends, ends[1:])]
    return Reference(dict(zip([*runs[0].ended, AFTER_LAST], durations)), published.expected(roots), results[0])


def result_of(root: Path, run: run_process.Run) -> dict[str, Any]:
    """Return exit code and summary of a run, without places and times; only the exit code if there is no summary."""
    summary = Path(f"{root}.json")
    values = json.loads(summary.read_text()) if summary.exists() else {}
    return {"code": run.code, **{key: value for key, value in values.items() if key not in _PLACES}}


def planned(kills: int, seed: int) -> list[tuple[int, random.Random]]:
    """Draw the number of kills of each trial, and the generator of its moments."""
    plans = list[tuple[int, random.Random]]()
    while kills:
        draw = random.Random(f"{seed}-{len(plans)}")
        count = min(kills, draw.randint(1, MOST_KILLS))
        plans.append((count, draw))
        kills -= count
    return plans


def moment_of(draw: random.Random, stages: dict[str, float]) -> run_process.Moment:
    """Draw a moment: half of the time uniform over the duration of a run, half of the time over its stages."""
    durations = list(stages.values())
    weights = durations if draw.random() < 0.5 else [1.0] * len(durations)
    (stage,) = draw.choices(range(len(durations)), weights)
    return run_process.Moment(stage, draw.uniform(0.0, durations[stage]))


def _undisturbed(run: Any, root: Path) -> run_process.Run:
    root.parent.mkdir()
    return run(root)


def _attempt(run: Any, reference: Reference, trial: tuple[Path, tuple[int, random.Random]]) -> Trial:
    """Kill a run on a new root as often as planned, let it end, and check."""
    root, (count, draw) = trial
    root.parent.mkdir()
    start, kills, faults = time.monotonic(), list[str](), list[str]()
    names = list(reference.stages)
    while len(kills) < count and not faults:
        done = run(root, moment_of(draw, reference.stages))
        if done.code is None:
            kills.append(names[len(done.ended)])
            faults = [*done.left, *published.faults(root, reference.expected)]
        else:  # it ended before its moment, so the next run finds everything in TFX's cache
            faults = _end_faults(root, done, reference)
    faults = faults or _end_faults(root, run(root), reference)
    if not faults:
        shutil.rmtree(root.parent)
    return Trial(root, kills, faults, time.monotonic() - start)


def _end_faults(root: Path, done: run_process.Run, reference: Reference) -> list[str]:
    """Return what is wrong with a run that ended by itself."""
    result = result_of(root, done)
    Path(f"{root}.json").unlink(missing_ok=True)
    differs = f"its result is {result} and not {reference.result}: see {done.output}"
    faults = [] if result == reference.result else [differs]
    return [*faults, *done.left, *published.final_faults(root, reference.expected)]


def _report(console: Console, trials: list[Trial], reference: Reference, seconds: float) -> bool:
    counts = Counter(name for trial in trials for name in trial.kills)
    failed = [trial for trial in trials if trial.faults]
    table = Table("killed in", "kills", "seconds undisturbed")
    for name, duration in reference.stages.items():
        table.add_row(name, str(counts[name]), f"{duration:.1f}")
    console.print(table)
    console.print(
        f"{counts.total()} kills in {len(trials)} trials, {seconds / 60:.1f} minutes; failed trials: {len(failed)}"
    )
    for trial in failed:
        console.print(f"kept: {trial.root.parent}", style="red")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
