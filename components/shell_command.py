"""Command lines of this project that a user can paste: for the running Python and the current directory.

Pythons that are too old for the project import this file, too: see `components.startup`.
"""

from __future__ import annotations

import os
import shlex
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def of(program: str, *arguments: str) -> str:
    """Return the command line that starts a program of this project with the running Python.

    Example: tests/components/test_shell_command.py.

    Args:
      program: a package, "serving" or "serving.playground", or a file in the root, "local_runner.py".
      arguments: unquoted arguments.
    """
    return shlex.join([python(sys.executable), *interpreter_arguments(program), *arguments])


def python(path: str) -> str:
    """Return the path of an interpreter for a shell, which searches PATH for a name without a slash."""
    name = display_path(path)
    return name if os.sep in name else os.path.join(os.curdir, name)


def interpreter_arguments(program: str) -> list[str]:
    """Return the interpreter's arguments for a program: a module in the root, a path from any other directory."""
    is_file = program.endswith(".py")
    if not is_file and in_root():
        return ["-m", program]
    return [display_path(os.path.join(ROOT, program if is_file else program.replace(".", os.sep)))]


def display_path(path: str) -> str:
    """Return the path, relative if it is below the working directory. Links are kept: the Python of a venv is one."""
    try:
        relative = os.path.relpath(path)
    except OSError:  # the working directory was deleted
        return path
    return path if relative.split(os.sep)[0] == os.pardir else relative


def in_root() -> bool:
    """Return whether the working directory is the root of this repository."""
    try:
        return os.path.samefile(os.getcwd(), ROOT)
    except OSError:
        return False
