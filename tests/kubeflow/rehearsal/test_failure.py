"""The message about a task that failed in a rehearsal."""

import pytest

from kubeflow.rehearsal.failure import describe

MISTAKE = "error: The corpus is empty. Received: x.txt"
TRACEBACK = """Traceback (most recent call last):
  File "a.py", line 1, in <module>
ValueError: the first one

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
tensorflow.python.framework.errors_impl.NotFoundError: no such file
"""


@pytest.mark.parametrize(
    ("code", "log", "first"),
    [
        (2, f"loading\n{MISTAKE}\nW0000 a warning at exit", "(exit code 2): The corpus is empty. Received: x.txt"),
        (129, "failed: Another process has ended.", "(exit code 129): Another process has ended."),
        (
            1,
            f"loading\n{TRACEBACK}",
            "(exit code 1): tensorflow.python.framework.errors_impl.NotFoundError: no such file",
        ),
        (1, "ValueError: caught and logged\n" + MISTAKE, "(exit code 1): The corpus is empty. Received: x.txt"),
        (-9, "training", "(killed by SIGKILL): training"),
        (3, "", "(exit code 3): it printed nothing"),
    ],
)
def test_reason_is_first_and_the_log_after(code: int, log: str, first: str) -> None:
    reason, empty, heading, *rest = describe("Trainer", code, log).splitlines()
    assert reason == f"The task Trainer failed {first}"
    assert (empty, heading) == ("", "The end of its log:")
    assert rest == log.splitlines()


def test_only_the_end_of_a_long_log_is_shown() -> None:
    log = "\n".join([MISTAKE, *(f"line {number}" for number in range(100))])
    assert describe("Trainer", 2, log).splitlines()[0].endswith("x.txt"), "the reason, although it is above the end"
    assert describe("Trainer", 2, log).splitlines()[-40:] == [f"line {number}" for number in range(60, 100)]
