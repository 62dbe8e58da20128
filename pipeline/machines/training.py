"""The training process of this machine: start it, give it the arguments of `run_fn`, relay its messages, stop it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from pipeline import cache_keys
from pipeline.machines import messages
from trainer import cluster

PROGRAM = ("-m", "pipeline.machines.child")
_STOP_SECONDS = 20.0


class Training:
    """A training process. It is stopped at the end of the `with` block: killed if the block fails.

    Example: tests/pipeline/machines/test_training.py.
    """

    def __init__(
        self,
        tf_config: str,
        receive: Callable[[messages.Message], None],
        log: str | None = None,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        """Start it.

        Args:
          tf_config: the value of `TF_CONFIG` for the process.
          receive: called in a thread with every message of the process; "failed" if it ends without one.
          log: file to which libraries print; None: this program's standard error.
          program: the interpreter's arguments.
        """
        self._receive = receive
        with open(log, "ab") if log else contextlib.nullcontext() as output:
            self._process = subprocess.Popen(
                [sys.executable, *program],
                cwd=cache_keys.ROOT,  # first on its path, also where another package has the name of ours
                env={**os.environ, cluster.VARIABLE: tf_config},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,  # Ctrl-C reaches this program only, which then stops the process
            )
        threading.Thread(target=self._relay, daemon=True).start()

    def __enter__(self) -> "Training":
        """Return it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop it."""
        if kind is None:
            self.stop()
        self._process.kill()
        self.stop()

    def stop(self) -> None:
        """Let it end by itself."""
        assert self._process.stdin
        with contextlib.suppress(subprocess.TimeoutExpired, OSError):
            self._process.stdin.close()
            self._process.wait(_STOP_SECONDS)

    def start(self, arguments: dict[str, Any]) -> None:
        """Let it train with these arguments of `run_fn`."""
        assert self._process.stdin
        with contextlib.suppress(OSError):  # it has ended, which its relay reports
            self._process.stdin.write(json.dumps(arguments).encode() + b"\n")
            self._process.stdin.flush()

    def _relay(self) -> None:
        assert self._process.stdout
        kind = ""
        with self._process.stdout as lines:
            for line in lines:
                if message := messages.decode(line):
                    kind = message["kind"]
                    self._receive(message)
        code = self._process.wait()
        if kind not in ("trained", "failed"):
            self._receive({"kind": "failed", "words": _ended(code)})


def _ended(code: int) -> str:
    if code == -signal.SIGKILL:
        return "the training process was killed (SIGKILL), as Linux does when memory runs out"
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"the training process ended with {how}"
