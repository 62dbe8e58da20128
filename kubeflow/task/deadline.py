"""The time-out of a task, which neither hangs forever nor ends without a message in its log."""

import faulthandler
import os
import sys
import threading

from components import command_line


def start(seconds: float) -> threading.Timer | None:
    """End this process when it still runs after so many seconds. 0: no limit.

    Example:
      >>> start(0) is None
      True
    """
    if not seconds:
        return None
    timer = threading.Timer(seconds, _end, [seconds])
    timer.daemon = True  # a finished task does not wait for it
    timer.start()
    return timer


def _end(seconds: float) -> None:
    try:
        faulthandler.dump_traceback(sys.stderr)
        command_line.print_error(
            f"failed: the task has used up its time-out of {seconds:,} s; above is what each of its threads was doing. "
            "If it needs more time, raise cluster.pods.NAME.timeout_seconds of the component (0: no limit)"
        )
    finally:
        os._exit(command_line.FAILED)  # the main thread may hang in a framework's C++
