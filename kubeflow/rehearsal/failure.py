"""Why a task failed: the reason first, in one paragraph, then the end of its log."""

import re
import signal

_LINES = 40  # of the log
# What `components.command_line` prints for a mistake of the user, and the last line of a traceback.
_REASONS = (r"^(?:error|failed): (.+)$", r"^([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit)(?:: .*)?)$")


def describe(task: str, code: int, log: str) -> str:
    r"""Return the message about a task that ended with an exit code other than 0.

    Args:
      code: the exit code; negative is the number of the signal that killed the process.
      log: everything that the task printed.

    Example:
      >>> print(describe("Trainer", 2, "loading\nerror: The corpus is empty. Received: x.txt"))
      The task Trainer failed (exit code 2): The corpus is empty. Received: x.txt
      <BLANKLINE>
      The end of its log:
      loading
      error: The corpus is empty. Received: x.txt
    """
    lines = log.splitlines()
    end = "\n".join(lines[-_LINES:])
    return f"The task {task} failed ({_ending(code)}): {_reason(lines)}\n\nThe end of its log:\n{end}"


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


def _reason(lines: list[str]) -> str:
    for pattern in _REASONS:
        if found := [match[1] for line in lines if (match := re.match(pattern, line))]:
            return found[-1]
    return lines[-1].strip() if lines else "it printed nothing"
