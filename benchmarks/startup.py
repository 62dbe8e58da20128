"""CPU-seconds of process starts, compared with the import of the frameworks that they need.

    python benchmarks/startup.py [--serving-dir DIR] [--rounds 3] [--hot 25]

DIR is a serving directory with a pushed `char_rnn`, for the rows that need one. Every figure is the lowest of the
rounds, each in a new process; the ratio is to the peer in the same block. The peer of the tasks is TFX's entrypoint
with all components and the Evaluator's executor, imported as usual, as every task did before `lean_imports.one_task`.
The hot list is the time of `import pipeline.create` by package, from `python -X importtime`.
"""

import argparse
import collections
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import machine  # noqa: E402

PIPELINE = {
    "import tfx.components (peer)": ["-c", "import tfx.components"],
    "import pipeline.create": ["-c", "import pipeline.create"],
}
_IMPORT = (
    "from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor as entrypoint\n"
    "  entrypoint.import_utils.import_class_by_path('{executor}')"
)
_PLAIN = "if True:\n  import tfx.components\n  " + _IMPORT
_TASK = (
    "from kubeflow.task import execute, invocation, retry, run_parameters\n"
    "from components import lean_imports\n"
    "with lean_imports.one_task():\n  " + _IMPORT
)
TASKS = {
    "a task, nothing left out (peer)": ["-c", _PLAIN.format(executor="components.evaluate.evaluator.Executor")],
    **{
        f"task {title}": ["-c", _TASK.format(executor=executor)]
        for title, executor in (
            ("AnomalyGate", "components.validate.anomaly_gate.AnomalyGate_Executor"),
            ("Trainer", "tfx.components.trainer.executor.GenericExecutor"),
            ("StatisticsGen", "tfx.components.statistics_gen.executor.Executor"),
            ("Transform", "tfx.components.transform.executor.Executor"),
            ("Evaluator", "components.evaluate.evaluator.Executor"),
        )
    },
}
MODEL = {
    "import tensorflow (peer)": ["-c", "import tensorflow"],
    "import without Keras": [
        "-c",
        "from components.lean_imports import tensorflow_without_keras as load; load()",
    ],
    "serving generate, 200 characters": ["-m", "serving", "generate", "The ", "--chars", "200"],
}
COMMANDS = {
    "python -c pass (peer)": ["-c", "pass"],
    "serving --help": ["-m", "serving", "--help"],
    "serving versions": ["-m", "serving", "versions"],
    "serving generate, refused": ["-m", "serving", "generate", "--samples", "0"],
    "serving promote, refused": ["-m", "serving", "promote", "--version", "999"],
    "local_runner.py --help": ["local_runner.py", "--help"],
    "local_runner.py, refused": ["local_runner.py", "--preset", "nope"],
    "kubeflow --help": ["-m", "kubeflow", "--help"],
}
WITH_MODEL = ("generate", "versions", "promote")


def cpu_seconds(arguments: list[str], rounds: int) -> float:
    """Return the lowest user plus system time of several runs of this interpreter."""
    lowest = float("inf")
    for _ in range(rounds):
        before = os.times()
        subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, check=False)
        after = os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        lowest = min(lowest, spent)
    return lowest


def block(rows: dict[str, list[str]], serving_dir: str | None, rounds: int) -> list[str]:
    """Return a line for each command; the first one is the peer."""
    lines, peer = [], 0.0
    for name, arguments in rows.items():
        if any(word in arguments for word in WITH_MODEL):
            if serving_dir is None:
                lines.append(f"{name:36}  left out: no --serving-dir")
                continue
            arguments = [*arguments, "--serving-dir", serving_dir]
        seconds = cpu_seconds(arguments, rounds)
        peer = peer or seconds
        lines.append(f"{name:36}  {seconds:6.2f}  {seconds / peer:5.2f} times")
    return lines


def hot(reports: list[str], most: int) -> list[str]:
    """Return the packages whose modules take longest to import, with the lowest seconds over several reports."""
    lowest: dict[str, int] = {}
    for report in reports:
        for microseconds, name in re.findall(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", report, re.MULTILINE):
            lowest[name] = min(int(microseconds), lowest.get(name, int(microseconds)))
    own: collections.Counter[str] = collections.Counter()
    for name, taken in lowest.items():
        own[name.partition(".")[0]] += taken
    return [f"{package:36}  {seconds / 1e6:6.2f}" for package, seconds in own.most_common(most)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serving-dir", metavar="DIR")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hot", type=int, default=25, help="rows of the hot list")
    options = parser.parse_args()
    serving_dir = options.serving_dir and os.path.abspath(options.serving_dir)
    print(machine.line(machine.describe(None)))
    for rows in (PIPELINE, TASKS, MODEL, COMMANDS):
        print("\nCPU-seconds")
        for line in block(rows, serving_dir, options.rounds):
            print(line, flush=True)
    traced = [sys.executable, "-X", "importtime", "-c", "import pipeline.create"]
    print("\nimport pipeline.create, seconds by package")
    reports = [subprocess.run(traced, cwd=ROOT, capture_output=True, text=True).stderr for _ in range(options.rounds)]
    print("\n".join(hot(reports, options.hot)))


if __name__ == "__main__":
    main()
