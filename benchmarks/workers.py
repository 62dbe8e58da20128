"""The parent's side of the protocol with worker processes; see `benchmarks.implementations.protocol`."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class Failed(Exception):
    """A worker that cannot start or continue, with the reason in one line."""


class Worker:
    """An implementation in a separate, long-lived process."""

    def __init__(self, module: str, job: dict[str, Any], python: str = sys.executable) -> None:
        """Start the program and send it the job.

        Args:
          module: its name in `benchmarks.implementations`.
          job: as the module documents it.
          python: interpreter to run it with.

        Raises:
          Failed: the program ended, or answered with an error.
        """
        self._module = module
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [python, "-m", f"benchmarks.implementations.{module}"],
            cwd=ROOT,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        try:
            self.ready: dict[str, Any] = self.ask(job)["ready"]
        except Failed:
            self.close()
            raise

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its answer; print progress messages to standard error."""
        assert self._process.stdin
        assert self._process.stdout
        answer: dict[str, Any] = {}
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
            while "progress" in (answer := json.loads(self._process.stdout.readline() or "{}")):
                print(f"  {self._module}: {answer['progress']}", file=sys.stderr, flush=True)
        except BrokenPipeError:
            pass
        if not answer:
            self._log.seek(0)
            last = self._log.read().strip().splitlines()[-1:] or ["no output"]
            raise Failed(f"ended with code {self._process.wait()}: {last[0]}")
        if "error" in answer:
            raise Failed(" ".join(answer["error"].split())[:300])
        return answer

    def close(self) -> None:
        """Stop the process."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
