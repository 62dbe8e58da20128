"""What the processes of one training do together, besides its steps: compare, wait, and notice that one is gone."""

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from components.errors import UserError
from trainer.cluster.environment import ProcessLost

# Of a connection. An error on one process also aborts the operations of the others, with its own type.
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError, tf.errors.CancelledError)
_ABORTED = "Collective ops is aborted"


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Return when every process has called this function."""
    _total(strategy, 0)


def check_same(strategy: tf.distribute.Strategy, value: int, what: str) -> None:
    """Compare a value with that of the other processes.

    Args:
      value: below 2**31.
      what: description of the value in this process, for the message.

    Raises:
      UserError: another process has another value. Not every process may see that, but then it loses one that does.
    """
    replicas = strategy.num_replicas_in_sync
    if _total(strategy, value) != replicas * value:
        raise UserError(
            "The processes of this training do not begin alike, and would train different models. Give all of them the "
            "same data, configuration, kind of processor or GPU (or set training.precision), versions of the "
            f"libraries, and one directory for checkpoints, on storage that all of them see. Received: {what}"
        )


def mean(strategy: tf.distribute.Strategy, value: int) -> int:
    """Return the mean of the value over all processes, rounded down; each must call this function."""
    return _total(strategy, value) // strategy.num_replicas_in_sync


@contextlib.contextmanager
def explain_loss(processes: int) -> Iterator[None]:
    """Turn TensorFlow's errors about a lost connection into one paragraph.

    Args:
      processes: number of them; with one, nothing is changed.

    Raises:
      ProcessLost: instead of these errors.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if processes == 1 or not (isinstance(error, _LOST) or _ABORTED in error.message):
            raise
        reason = next((line for line in error.message.splitlines() if _ABORTED in line), error.message.split("\n")[0])
        raise ProcessLost(
            "Another process of this training has ended or cannot be reached, so this one ends, too. Start all of them "
            "again with the same commands: training continues from the last checkpoint. The log of the process that "
            f"ended first has the cause. Received: {reason}"
        ) from error


def _total(strategy: tf.distribute.Strategy, value: int) -> int:
    if strategy.num_replicas_in_sync == 1:
        return value

    @tf.function(autograph=False)
    def total() -> Any:
        parts = strategy.run(lambda: tf.constant(value, tf.int64))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, parts, axis=None)

    return int(total())
