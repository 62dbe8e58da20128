"""Classify the exception that ended a run: an interruption, an error that the user can fix, or an internal one."""

import errno
import os
from collections.abc import Iterator

from components.command_line import FAILED, USER_ERROR
from components.errors import UserError

_LONGEST = 300  # characters shown of a framework's message
# The frameworks wrap errors of the system in their own exceptions, or in text from other processes. Only words remain.
# The last two are SQLite's: of a statement, and of the end of a transaction that it has rolled back after that.
_DISK = (*map(os.strerror, (errno.ENOSPC, errno.EDQUOT)), "disk is full", "no transaction is active")
_PERMISSION = (*map(os.strerror, (errno.EACCES, errno.EPERM, errno.EROFS)), "readonly database")
_MEMORY = ("OOM when allocating", os.strerror(errno.ENOMEM), "MemoryError", "out of memory")
# Of this project or of TFX: this process has imported them, so it is a Beam worker that lacks them.
_PACKAGES = tuple(f"No module named '{name}" for name in ("components", "serving", "trainer", "transform", "tfx"))
_RPC = ("StatusCode.",)  # only Beam's clients of job services and workers use gRPC here
_ADVICE = (
    (_DISK, "The disk is full", "Free some space"),
    (_PERMISSION, "A file cannot be read or written", "Fix its permissions"),
    (("database is locked",), "Another program holds metadata.db", "End that program (`fuser` names it)"),
    (
        _PACKAGES,
        "A Beam worker cannot import the project",
        "Start the workers with the environment of uv.lock, and with the repository on PYTHONPATH",
    ),
    (
        _RPC,
        "Beam lost its job service or a worker",
        "Check the logs of the job service and of the worker pool: a worker that cannot start, or that was killed, is "
        "reported only there. Then start what has ended",
    ),
    (_MEMORY, "Out of memory", "Lower training.batch_size, training.sequence_length or model.units"),
)


class TrainingFailed(Exception):
    """Training on several machines ended with an error; the message is a paragraph."""


def explain(error: BaseException, root: str, log: str | None) -> tuple[str, int]:
    """Describe a failure in one paragraph.

    Args:
      error: the exception that ended the run.
      root: the root of the run.
      log: file with the frameworks' output, if there is one.

    Returns:
      The paragraph, and the exit code: 2 for errors that only the user can fix (disk, permissions, memory), else 1.
    """
    more = f" Details: {log}" if log else ""
    for text in _texts(error):
        for words, what, advice in _ADVICE:
            line = next((line for line in text.splitlines() if any(word in line for word in words)), None)
            if line is not None:
                return (
                    f"error: {what}. The run used the root {root}. {advice} and run the same command again: finished "
                    f"work is kept. Received: {_short(line)}{more}",
                    USER_ERROR,
                )
    if isinstance(error, TrainingFailed):
        return f"failed: {error}{more}", FAILED
    return f"failed: {reason(error)}{more}", FAILED


def reason(error: BaseException) -> str:
    """Return type and message of an exception in a short line; of a UserError, whose message names no type, the latter.

    >>> reason(ValueError("bad value"))
    'ValueError: bad value'
    """
    message = _short(_reason(str(error)))
    return message if isinstance(error, UserError) else f"{type(error).__name__}: {message}"


def is_interrupt(error: BaseException) -> bool:
    """Return whether a KeyboardInterrupt caused an exception: Beam raises a RuntimeError in its place."""
    return any(KeyboardInterrupt.__name__ in text for text in _texts(error))


def _texts(error: BaseException) -> Iterator[str]:
    """Yield type and message of an exception and of its causes, the first cause first: it is the most specific."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    for link in reversed(chain):
        yield f"{type(link).__name__}: {link}"


def _reason(message: str) -> str:
    """Return the first line; of a traceback, which Beam passes on from its workers, the last one."""
    lines = message.strip().splitlines() or [""]
    return lines[-1 if "Traceback (most recent call last)" in lines[0] else 0]


def _short(line: str) -> str:
    line = " ".join(line.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."
