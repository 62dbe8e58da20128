"""Exit codes of the command lines, and the paragraph that each prints about the exception that ended it."""

import contextlib
import os
import sys
from collections.abc import Callable

from components.errors import UserError
from components.startup import INTERRUPTED

OK, FAILED, USER_ERROR = 0, 1, 2
BROKEN_PIPE = 141  # as a shell reports a program that SIGPIPE ended


def print_error(text: str) -> None:
    """Print a line on standard error."""
    print(text, file=sys.stderr, flush=True)


def run(
    program: Callable[[], int],
    failures: tuple[type[Exception], ...] = (),
    report: Callable[[str], None] = print_error,
    interrupted: Callable[[], None] = lambda: print_error("interrupted"),
    explain: Callable[[Exception], tuple[str, int]] | None = None,
) -> int:
    """Return the exit code of a program, or that of the exception which ends it, after printing a paragraph about it.

    Args:
      failures: exceptions whose message is for users, although the mistake is not theirs.
      explain: returns paragraph and exit code for other exceptions. Without it, these are raised.
    """
    try:
        code = program()
        sys.stdout.flush()
        return code
    except UserError as error:
        report(f"error: {error}")
        return USER_ERROR
    except failures as error:
        report(f"failed: {error}")
        return FAILED
    except KeyboardInterrupt:
        interrupted()
        return INTERRUPTED
    except Exception as error:
        if explain is not None:
            import traceback  # late: only a program that fails needs it

            with contextlib.suppress(OSError):  # the log may be on the full disk that is the reason
                traceback.print_exc()
            paragraph, code = explain(error)
            report(paragraph)
            return code
        if not isinstance(error, BrokenPipeError):
            raise
        # The reader of the output has closed it. Discard what is still buffered, or the flush at exit fails as well.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
