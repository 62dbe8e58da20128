"""`python -m serving up` with the embedded server, as a user starts it, and what its process uses."""

import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import httpx
import psutil

from scripts.traffic import MODEL

ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS, _STOP_SECONDS = 300.0, 120.0
_MIB = 2**20


class Up:
    """A running `up`; a context manager.

    Attributes:
      root: directory of runs, with the versions below `serving/<model>`.
      base: directory of the versions.
      url: of the server.
      port: of its REST API.
      log: file of the server's log.
    """

    def __init__(self, root: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.root, self.base = root, root / "serving" / MODEL
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = root / "logs" / "serving.log"
        self._output = root / "up.log"

    def __enter__(self) -> "Up":
        command = [sys.executable, "-m", "serving", "up", "--server", "embedded", "--no-playground"]
        command += ["--root", str(self.root), f"--port={self.port}"]
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
        deadline = time.monotonic() + _START_SECONDS
        while "Ctrl-C stops the server" not in self._output.read_text():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                self._process.wait()
                raise SystemExit(f"The server did not start. Received:\n{self._output.read_text()}")
            time.sleep(0.1)
        try:
            self._server = self._find_server()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self.stop()

    def stop(self) -> list[str]:
        """Stop it as Ctrl-C does; returns what was wrong with its end."""
        restarts = self._output.read_text().count("restarting ...")
        self._process.send_signal(signal.SIGINT)
        try:
            code = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return [f"`up` did not end within {_STOP_SECONDS:.0f} s of Ctrl-C"]
        faults = [f"`up` ended with exit code {code}"] if code else []
        return faults + [f"the server ended {restarts} times and was restarted"] * bool(restarts)

    def runs(self) -> bool:
        """Return whether the process that was started is still the server."""
        return self._server.is_running() and self._server.status() != psutil.STATUS_ZOMBIE

    def mebibytes(self) -> float:
        """Return the resident memory of the server's process."""
        return float(self._server.memory_info().rss) / _MIB

    def cpu_seconds(self) -> float:
        """Return the processor time that the server's process has used."""
        times = self._server.cpu_times()
        return float(times.user + times.system)

    def states(self) -> dict[int, str]:
        """Return the state of each version."""
        found = httpx.get(f"{self.url}/v1/models/{MODEL}", timeout=60).json()["model_version_status"]
        return {int(one["version"]): str(one["state"]) for one in found}

    def logged_faults(self, pattern: str) -> list[str]:
        """Return the lines of the server's log that match."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [f"the server's log: {line}" for line in lines if re.search(pattern, line)]

    def _find_server(self) -> psutil.Process:
        for process in psutil.process_iter(["cmdline"]):
            arguments = process.info["cmdline"] or ()
            if "serving.embedded" in arguments and f"--rest_api_port={self.port}" in arguments:
                return process
        raise SystemExit(f"`up` did not start the embedded server. Received:\n{self._output.read_text()}")
