"""The command line for the runs of a root: `python -m pipeline COMMAND`; the commands are in `pipeline/commands/`."""

import os
import sys

if not __package__:  # `python /path/to/pipeline`, from any directory
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

from components import startup

if __name__ == "__main__":
    startup.begin("pipeline", "pydantic", "rich", "ml_metadata")

import argparse

from components import command_line
from pipeline import commands


def arguments(argv: list[str]) -> argparse.Namespace:
    """Read the command line; a mistake in it ends the program with code 2."""
    parser = command_line.Parser(
        prog="python -m pipeline",
        description="List the runs of a root, and delete what the newest ones do not need.",
        epilog="Exit codes: 0 done, 2 a mistake in input or options, 130 interrupted, 1 anything else. "
        "`local_runner.py` starts a run.",
    )
    parser.add_commands(argv, commands.COMMANDS, commands.find)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    return command_line.run(lambda: _run(sys.argv[1:] if argv is None else argv))


def _run(argv: list[str]) -> int:
    options = arguments(argv)
    startup.hand_over()
    return commands.find(options.command).run(options)


if __name__ == "__main__":
    sys.exit(main())
