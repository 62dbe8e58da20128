"""An error that only the user can fix is reported as one, even if the frameworks have wrapped it."""

import errno
import os

import pytest

from pipeline import failure

# Messages of the frameworks on a full disk.
SQLITE = "Error when executing query: database or disk is full query: COMMIT;"
ROLLED_BACK = "Error when executing query: cannot commit - no transaction is active query: COMMIT;"
BEAM = (
    "tensorflow.python.framework.errors_impl.ResourceExhaustedError: /root/saved_model.pb.tmp9; "
    "No space left on device [while running 'Analyze/CreateSavedModel']\n\nduring\nmore"
)
# What Beam's portable runner raises when a job service is silent, and what a worker reports that lacks the project.
RENDEZVOUS = (
    "<_MultiThreadedRendezvous of RPC that terminated with:\n\tstatus = StatusCode.UNAVAILABLE\n"
    '\tdetails = "Socket closed"\n>'
)
WORKER = (
    "Pipeline job-1 failed in state FAILED: Traceback (most recent call last):\n"
    '  File "bundle_processor.py", line 1, in f\n{}\n'
)


def caused(error: Exception, reason: BaseException | None) -> Exception:
    """Return `error` as raised from `reason`."""
    try:
        raise error from reason
    except Exception as raised:
        return raised


@pytest.mark.parametrize(
    ("error", "what", "advice"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/root/x"), "The disk is full", "Free some space"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), "The disk is full", "Free some space"),
        (RuntimeError(SQLITE), "The disk is full", "Free some space"),
        (RuntimeError(ROLLED_BACK), "The disk is full", "Free some space"),
        (RuntimeError(BEAM), "The disk is full", "Free some space"),
        (
            caused(RuntimeError("it failed"), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))),
            "The disk is full",
            "Free",
        ),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/x"), "A file cannot be read or written", "Fix its"),
        (RuntimeError("attempt to write a readonly database"), "A file cannot be read or written", "Fix its"),
        (RuntimeError("OOM when allocating tensor with shape[9]"), "Out of memory", "Lower training.batch"),
        (MemoryError(), "Out of memory", "Lower training.batch_size"),
        (RuntimeError(RENDEZVOUS), "Beam lost its job service or a worker", "Check the logs of the job service"),
        (
            RuntimeError(WORKER.format("ModuleNotFoundError: No module named 'components'")),
            "A Beam worker cannot import the project",
            "Start the workers with",
        ),
    ],
)
def test_error_that_the_user_can_fix_is_one_paragraph_with_code_2(error: Exception, what: str, advice: str) -> None:
    said, code = failure.explain(error, "/the/root", "/the/log")
    assert code == 2
    assert said.startswith(f"error: {what}")
    for part in ("/the/root", f". {advice}", "finished work is kept. Received: ", "Details: /the/log"):
        assert part in said
    assert "\n" not in said


def test_only_the_relevant_line_of_the_message_is_shown() -> None:
    said, _ = failure.explain(RuntimeError(BEAM), "/the/root", None)
    assert said.endswith("[while running 'Analyze/CreateSavedModel']")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("shapes differ\nand more"),
        caused(ValueError("shapes differ"), KeyError("x")),
        FileNotFoundError(errno.ENOENT, "shapes differ"),
    ],
)
def test_internal_error_is_reported_with_its_type_first_line_and_the_log(error: Exception) -> None:
    said, code = failure.explain(error, "/the/root", "/the/log")
    assert code == 1
    assert said.startswith(f"failed: {type(error).__name__}: ")
    assert "shapes differ" in said
    assert said.endswith(" Details: /the/log")
    assert "and more" not in said


def test_traceback_of_a_worker_is_reported_with_its_last_line() -> None:
    said, _ = failure.explain(
        RuntimeError(WORKER.format("ValueError: shapes differ [while running 'Cut']")), "/x", None
    )
    assert said == "failed: RuntimeError: ValueError: shapes differ [while running 'Cut']"


def test_suppressed_cause_does_not_count() -> None:
    error = ValueError("something else")
    error.__context__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert failure.explain(error, "/the/root", None)[1] == 2
    error.__suppress_context__ = True  # as `raise ... from None` does
    assert failure.explain(error, "/the/root", None) == ("failed: ValueError: something else", 1)


def test_long_message_is_truncated_and_an_empty_one_is_allowed() -> None:
    said, _ = failure.explain(ValueError("x" * 1000), "/the/root", None)
    assert said == f"failed: ValueError: {'x' * 300} ..."
    assert failure.explain(ValueError(), "/the/root", None)[0] == "failed: ValueError: "


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KeyboardInterrupt(), True),
        (caused(RuntimeError("it failed"), caused(ValueError("x"), KeyboardInterrupt())), True),
        (RuntimeError("KeyboardInterrupt [while running 'Analyze']"), True),  # as Beam words it
        (caused(RuntimeError("it failed"), ValueError("x")), False),
    ],
)
def test_interruption_is_recognized_through_the_causes(error: BaseException, expected: bool) -> None:
    assert failure.is_interrupt(error) is expected


def test_failed_training_on_several_machines_is_explained_by_its_paragraph() -> None:
    text, code = failure.explain(failure.TrainingFailed("the worker b:2222 has gone. Run again."), "/root", "/log")
    assert (text, code) == ("failed: the worker b:2222 has gone. Run again. Details: /log", 1)
    text, code = failure.explain(
        failure.TrainingFailed("training failed on b:2222: OOM when allocating"), "/root", None
    )
    assert "Out of memory" in text
    assert "b:2222" in text
    assert code == 2
