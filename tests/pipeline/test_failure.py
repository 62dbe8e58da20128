"""A failure that only the user can mend is told as one, however deep the frameworks have wrapped it."""

import errno
import os

import pytest

from pipeline import failure

# As the frameworks word them, seen on a full disk.
SQLITE = "Error when executing query: database or disk is full query: COMMIT;"
BEAM = (
    "tensorflow.python.framework.errors_impl.ResourceExhaustedError: /root/saved_model.pb.tmp9; "
    "No space left on device [while running 'Analyze/CreateSavedModel']\n\nduring\nmore"
)


def caused(error: Exception, reason: Exception | None) -> Exception:
    """`error` as it is caught when it was raised from `reason`."""
    try:
        raise error from reason
    except Exception as raised:
        return raised


@pytest.mark.parametrize(
    ("error", "what", "advice"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/root/x"), "The disk is full", "Make room"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), "The disk is full", "Make room"),
        (RuntimeError(SQLITE), "The disk is full", "Make room"),
        (RuntimeError(BEAM), "The disk is full", "Make room"),
        (caused(RuntimeError("it failed"), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))), "The disk is full", "M"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/x"), "Something may not be written", "Mend its"),
        (RuntimeError("attempt to write a readonly database"), "Something may not be written", "Mend its"),
        (RuntimeError("OOM when allocating tensor with shape[9]"), "The memory is not enough", "Lower training.batch"),
        (MemoryError(), "The memory is not enough", "Lower training.batch_size"),
    ],
)
def test_what_only_the_user_can_mend_is_one_paragraph_with_code_2(error: Exception, what: str, advice: str) -> None:
    said, code = failure.explain(error, "/the/root", "/the/log")
    assert code == 2
    assert said.startswith(f"error: {what}")
    for part in ("/the/root", f". {advice}", "what is finished is kept. Received: ", "Details: /the/log"):
        assert part in said
    assert "\n" not in said


def test_the_line_that_tells_is_shown_and_not_the_rest_of_the_message() -> None:
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
def test_anything_else_is_a_fault_with_its_name_its_first_line_and_the_log(error: Exception) -> None:
    said, code = failure.explain(error, "/the/root", "/the/log")
    assert code == 1
    assert said.startswith(f"failed: {type(error).__name__}: ")
    assert "shapes differ" in said
    assert said.endswith(" Details: /the/log")
    assert "and more" not in said


def test_a_reason_that_was_dealt_with_before_does_not_count() -> None:
    error = ValueError("something else")
    error.__context__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert failure.explain(error, "/the/root", None)[1] == 2
    error.__suppress_context__ = True  # as `raise ... from None` does
    assert failure.explain(error, "/the/root", None) == ("failed: ValueError: something else", 1)


def test_long_messages_are_cut_and_an_empty_one_is_still_a_sentence() -> None:
    said, _ = failure.explain(ValueError("x" * 1000), "/the/root", None)
    assert said == f"failed: ValueError: {'x' * 300} ..."
    assert failure.explain(ValueError(), "/the/root", None)[0] == "failed: ValueError: "
