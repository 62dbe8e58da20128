"""This project's commands as a person can paste them: with the Python that they use, from the directory they are in.

Pythons that are too old for the rest read this file, too: see `components.startup`.
"""

from __future__ import annotations

import os
import shlex
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def of(program: str, *arguments: str) -> str:
    """The command line that starts a program of this project with the Python that runs now.

    Args:
      program: a package, "serving" or "serving.playground", or a file in the root, "local_runner.py".
      arguments: not quoted yet.
    """
    return shlex.join([python(sys.executable), *start(program), *arguments])


def python(path: str) -> str:
    """An interpreter as a shell starts it: what has no slash would be looked up on PATH."""
    name = shown(path)
    return name if os.sep in name else os.path.join(os.curdir, name)


def start(program: str) -> list[str]:
    """What the interpreter is given to start a program: a module in the root, a path from anywhere else."""
    is_file = program.endswith(".py")
    if not is_file and in_root():
        return ["-m", program]
    return [shown(os.path.join(ROOT, program if is_file else program.replace(".", os.sep)))]


def shown(path: str) -> str:
    """The path, relative if it is below the working directory. Links are kept: the Python of a venv is one."""
    try:
        relative = os.path.relpath(path)
    except OSError:  # the working directory is gone
        return path
    return path if relative.split(os.sep)[0] == os.pardir else relative


def in_root() -> bool:
    """Whether the working directory is the root of this repository."""
    try:
        return os.path.samefile(os.getcwd(), ROOT)
    except OSError:
        return False
