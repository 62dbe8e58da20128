"""Generate or score many texts: one line of JSON in, one out, in order; an interrupted job resumes.

  python -m serving bulk prompts.jsonl --output texts.jsonl --chars 300 --seed 7
  python -m serving bulk --score texts.jsonl --output scores.jsonl

A line to generate is {"prompt": "ROMEO:"} and may have num_chars, temperature, top_k, top_p, repetition_penalty, stop
and seed, which the options below set for all other lines. A line to score is {"text": "..."}. Both may have an "id",
which the line of the output repeats. A line that cannot be used gets a line with an "error", and the job continues.

The model runs in this process, or on the runner of --set beam_args. The same command resumes a job that was
interrupted: finished shards are in OUTPUT.shards.
"""

import argparse
import sys
from dataclasses import replace

from components import beam, startup
from components.command_line import FAILED, OK, counted, print_error
from components.errors import UserError
from components.lean_imports import tensorflow_without_keras
from serving.commands.shared import config_options, generation_options, model_source

_SHARD_LINES = 1_024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bulk`."""
    add = parser.add_argument
    add("input", metavar="INPUT", help="JSON Lines, UTF-8; a path or URL that TensorFlow and the workers can read")
    add("--output", required=True, metavar="FILE", help="JSON Lines: as many lines as the input, in its order")
    add("--score", action="store_true", help="measure the log-likelihood of texts instead of generating")
    add("--restart", action="store_true", help="start over: discard what exists of this output")
    add(
        "--shard-lines",
        type=int,
        default=_SHARD_LINES,
        metavar="N",
        help="lines that are written at once, and are lost at most if a process dies; default %(default)s",
    )
    generation_options.add_arguments(parser.add_argument_group("lines that do not state them").add_argument)
    model_source.add_version_arguments(parser.add_argument_group("which version").add_argument)
    config_options.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the job."""
    config = config_options.load(arguments)
    if arguments.shard_lines < 1:
        raise UserError(f"A shard must have at least one line. Received: --shard-lines {arguments.shard_lines}")
    beam.check_runner(config.beam_args)
    beam.check_job_service(config.beam_args)
    with generation_options.as_user_errors():
        options = generation_options.read(arguments)
        options.seeds(1)
    number, directory = model_source.pushed_version(arguments, config)
    with startup.importing():
        tensorflow_without_keras()
        from serving.bulk.job import Job, Stopped
        from serving.bulk.job import run as run_job
        from serving.bulk.lines import Task
        from serving.graph import generation_config

    limits = generation_config.read(directory)
    if arguments.chars is None and limits:
        options = replace(options, num_chars=min(options.num_chars, limits.max_chars))
    job = Job(
        arguments.input,
        arguments.output,
        directory,
        f"{config.model_name} version {number}",
        Task(None if arguments.score else options),
        arguments.shard_lines,
        beam.arguments(config.beam_args),
        keeps_seed=arguments.seed is None,
    )
    try:
        done = run_job(job, arguments.restart, print_error, _show_progress)
    except Stopped as stopped:
        print_error(f"failed: {stopped}")
        return FAILED
    text = f"{counted(done.lines, 'line')} in {arguments.output}"
    if done.failed:
        text += f", {len(done.failed):,} of them errors, the first in line {done.failed[0]:,}"
    print_error(text)
    return OK


def _show_progress(finished: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{finished:,} of {counted(total, 'shard')}\033[K\r", end="", file=sys.stderr, flush=True)
