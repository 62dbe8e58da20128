"""The time-out of a task, which neither hangs forever nor ends without a message in its log."""

import contextlib
import faulthandler
import os
import signal
import sys
import threading
from pathlib import Path

from components import command_line


def start(seconds: float) -> threading.Timer | None:
    """End this process and those that it started when it still runs after so many seconds. 0: no limit.

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
        _kill_children("self")  # the launcher waits until the last of them has closed the log
    finally:
        os._exit(command_line.FAILED)  # the main thread may hang in a framework's C++


def _kill_children(process: str) -> None:
    """Kill the processes that this one has started, such as workers of Beam, and theirs."""
    for threads in Path("/proc", process, "task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread or process has ended meanwhile
            for child in threads.read_text(encoding="ascii").split():
                _kill_children(child)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)
