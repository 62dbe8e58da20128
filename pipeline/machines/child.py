"""The program that trains on one machine: `python -m pipeline.machines.child`, started by `pipeline.machines.training`.

It prints messages on standard output: "ready" with the machine's facts, "progress", and at the end "trained" or
"failed". The arguments of `run_fn` come as a line on standard input, and it ends when that is closed: with its parent.
"""

import json
import logging
import os
import queue
import sys
import threading
import traceback
from typing import Any, NoReturn, TextIO

from components import lean_imports
from components.errors import UserError
from pipeline.console import duplicate_stdout
from pipeline.machines import messages
from trainer.cluster import ProcessLost

Arguments = dict[str, Any]


def main() -> NoReturn:
    """Import the frameworks, wait for the arguments, train, and wait for the end."""
    output = duplicate_stdout()
    os.dup2(2, 1)  # what libraries print belongs in the log

    def send(kind: str, **values: Any) -> None:
        output.write(messages.encode(kind, **values).decode())

    given: queue.SimpleQueue[Arguments] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin, given), daemon=True).start()
    try:
        lean_imports.frameworks()
        send("ready", facts=_facts())
        _train(given.get(), send)
    except ProcessLost as error:
        send("failed", words=str(error), lost_peer=True)
    except UserError as error:
        send("failed", words=str(error), user=True)
    except Exception as error:
        traceback.print_exc()
        send("failed", words=f"{type(error).__name__}: {' '.join(str(error).split())}")
    else:
        send("trained")
    threading.Event().wait()  # the first process serves TensorFlow's coordination until all others have ended
    raise AssertionError


def _read(stream: TextIO, given: "queue.SimpleQueue[Arguments]") -> None:
    for line in stream:
        given.put(json.loads(line))
    os._exit(0)


def _facts() -> dict[str, str]:
    import tensorflow as tf

    from trainer import hardware

    gpus = tf.config.list_physical_devices("GPU")
    return {"the number of GPUs": str(len(gpus)), "the precision": hardware.best_precision(gpus)}


def _train(arguments: Arguments, send: Any) -> None:
    from absl import logging as absl_logging
    from tfx.components.trainer.fn_args_utils import FnArgs

    from trainer.progress import LOGGER
    from trainer.run import run_fn

    absl_logging.set_verbosity(absl_logging.INFO)
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.propagate = False
    LOGGER.handlers = [_Sender(send)]
    run_fn(FnArgs(**arguments))


class _Sender(logging.Handler):
    """Sends progress records as messages."""

    def __init__(self, send: Any) -> None:
        super().__init__(logging.DEBUG)
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        self._send("progress", text=record.getMessage(), lasting=record.levelno >= logging.INFO)


if __name__ == "__main__":
    main()
