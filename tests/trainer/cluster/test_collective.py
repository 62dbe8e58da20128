"""Messages about lost processes; tests/trainer/test_workers.py has real ones."""

import pytest
import tensorflow as tf

from trainer.cluster import ProcessLost, collective

pytestmark = pytest.mark.integration

ABORTED = (
    "Graph execution error:\n\nDetected at node x\nCollective ops is aborted by: Socket closed\nRestart your program."
)


@pytest.mark.parametrize(
    ("error", "received"),
    [
        (tf.errors.UnavailableError(None, None, "failed to connect\nmore"), "failed to connect"),
        (tf.errors.DeadlineExceededError(None, None, "nobody came"), "nobody came"),
        # The type is that of the error of another process.
        (tf.errors.InternalError(None, None, ABORTED), "Collective ops is aborted by: Socket closed"),
    ],
)
def test_lost_connection_is_one_paragraph_for_several_processes(error: tf.errors.OpError, received: str) -> None:
    with pytest.raises(ProcessLost) as raised, collective.explain_loss(2):
        raise error
    assert str(raised.value).endswith(f"has the cause. Received: {received}")
    with pytest.raises(type(error)), collective.explain_loss(1):
        raise error


def test_other_errors_are_raised_unchanged() -> None:
    with pytest.raises(tf.errors.ResourceExhaustedError), collective.explain_loss(2):
        raise tf.errors.ResourceExhaustedError(None, None, "out of memory")


def test_one_process_waits_for_nobody() -> None:
    one = tf.distribute.get_strategy()
    collective.wait_for_all(one)
    collective.check_same(one, 5, "x")
    assert collective.mean(one, 5) == 5
