"""The command line of serving: `python -m serving COMMAND`; the commands are in `serving/commands/`."""

import os
import sys

if not __package__:  # `python /path/to/serving`, from any directory
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

from components import startup

if __name__ == "__main__":
    startup.begin("serving", "pydantic", "httpx", "rich", "tensorflow_serving")

import argparse

from components import command_line
from components.lean_imports import hidden
from serving import commands
from serving.client.errors import ClientError


def arguments(argv: list[str]) -> argparse.Namespace:
    """Read the command line; a mistake in it ends the program with code 2."""
    parser = command_line.Parser(
        prog="python -m serving",
        description="Serve, query and manage the models that the pipeline pushed.",
        epilog="Exit codes: 0 done, 2 a mistake in input or options, 130 interrupted, 1 anything else.",
    )
    parser.add_commands(argv, commands.COMMANDS, commands.find)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    return command_line.run(lambda: _run(sys.argv[1:] if argv is None else argv), failures=(ClientError,))


def _run(argv: list[str]) -> int:
    with hidden("click"):  # httpx imports it, Rich and Pygments for a command line that is not used here
        options = arguments(argv)
        command = commands.find(options.command)
        startup.hand_over()
        return command.run(options)


if __name__ == "__main__":
    sys.exit(main())
