"""What the exception that ended a run means to the user: something to mend, or a fault with a log to read."""

import errno
import os
from collections.abc import Iterator

from components.command_line import FAILED, USER_ERROR

_LONGEST = 300  # characters shown of a framework's message
# The frameworks wrap a system's error in exceptions of their own, or in text of other processes: its words remain.
_DISK = (*map(os.strerror, (errno.ENOSPC, errno.EDQUOT)), "disk is full")  # the last is SQLite's
_PERMISSION = (*map(os.strerror, (errno.EACCES, errno.EPERM, errno.EROFS)), "readonly database")
_MEMORY = ("OOM when allocating", os.strerror(errno.ENOMEM), "MemoryError", "out of memory")
_ADVICE = (
    (_DISK, "The disk is full", "Make room"),
    (_PERMISSION, "Something may not be written or read", "Mend its permissions"),
    (_MEMORY, "The memory is not enough", "Lower training.batch_size, training.sequence_length or model.units"),
)


def explain(error: BaseException, root: str, log: str | None) -> tuple[str, int]:
    """Put a failure into one paragraph.

    Args:
      error: what ended the run.
      root: where the run writes.
      log: file with the frameworks' output, if there is one.

    Returns:
      The paragraph, and the exit code: 2 where only the user can help (a full disk, permissions, memory), else 1.
    """
    more = f" Details: {log}" if log else ""
    for text in _texts(error):
        for words, what, advice in _ADVICE:
            line = next((line for line in text.splitlines() if any(word in line for word in words)), None)
            if line is not None:
                return (
                    f"error: {what}, while a run with the root {root} was under way. {advice} and give the same "
                    f"command again: what is finished is kept. Received: {_short(line)}{more}",
                    USER_ERROR,
                )
    first = next(iter(str(error).strip().splitlines()), "")
    return f"failed: {type(error).__name__}: {_short(first)}{more}", FAILED


def _texts(error: BaseException) -> Iterator[str]:
    """The words of an exception and of those that it was raised from, the first cause first: it knows best."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    for link in reversed(chain):
        yield f"{type(link).__name__}: {link}"


def _short(line: str) -> str:
    line = " ".join(line.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."
