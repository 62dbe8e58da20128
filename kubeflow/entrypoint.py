"""Entrypoint of every container: adapts the backend's invocation, then runs TFX's own entrypoint.

python -m kubeflow.entrypoint --backend kfp --executor_class_path ... --json_serialized_invocation_args '{{$}}' ...
"""

import argparse
import json
import logging
import os
import sys
import tempfile
from pathlib import Path

from components import command_line, cpu_quota
from kubeflow.task import deadline

ROOT = Path(__file__).resolve().parent.parent


def parse(argv: list[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    """Parse our arguments and those of TFX; unknown ones are for Beam."""
    parser = argparse.ArgumentParser(prog="python -m kubeflow.entrypoint", allow_abbrev=False)
    parser.add_argument("--backend", choices=("kfp", "vertex"), required=True)
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args", default="{}")
    parser.add_argument("--timeout_seconds", type=int, default=0)
    return parser.parse_known_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run one task and return the exit code."""
    options, beam_args = parse(argv)
    deadline.start(options.timeout_seconds)
    cpu_quota.limit_threads(os.environ)
    # Paths in the specification are relative to this repository.
    os.chdir(ROOT)
    # Training progress and the frameworks' messages are for the pod's log.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    return command_line.run(lambda: _run(options, beam_args))


def _run(options: argparse.Namespace, beam_args: list[str]) -> int:
    from trainer import cluster

    try:
        # Only the chief exports a model, but TFX requires an export from every worker.
        with tempfile.TemporaryDirectory(prefix="worker-") as directory:
            diverted = None if cluster.from_environment().is_chief else directory
            return _execute(options, beam_args, diverted)
    except cluster.ProcessLost as error:
        command_line.print_error(f"failed: {error}")
        return cluster.START_AGAIN


def _execute(options: argparse.Namespace, beam_args: list[str], diverted: str | None) -> int:
    from kubeflow.task import execute, invocation, retry, run_parameters

    given = json.loads(options.json_serialized_invocation_args)
    if options.backend == "kfp":
        invocation.adapt(given, json.loads(options.json_serialized_inputs_spec_args))
        invocation.satisfy_launcher(given)
    if diverted:
        invocation.divert_outputs(given, diverted)
    else:
        retry.clear_outputs(given)
    invocation.make_outputs(given)
    run_parameters.apply(given.get("inputs", {}).get("parameterValues", {}))
    options.json_serialized_invocation_args = json.dumps(given)

    execute.run(options, beam_args)
    if options.backend == "kfp":
        invocation.restore(given)
    return command_line.OK


if __name__ == "__main__":
    sys.exit(main())
