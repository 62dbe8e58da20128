"""Run a model server as a child process: start it, wait until the model is available, stop it with its children."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from components import startup
from components.errors import UserError
from serving.client import status

PROJECT = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TAIL_LINES = 15
_libc = ctypes.CDLL(None, use_errno=True)


class ServerFailed(Exception):
    """A server ended, or did not load its model in time; the message has the last lines of its log."""


class Process:
    """A running server.

    Example: `test_waits_until_the_model_is_available` in tests/serving/launcher/test_process.py.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: str,
        stop: Sequence[str] = (),
        kill: Sequence[str] = (),
        stop_seconds: float = 30.0,
    ) -> None:
        """Start it.

        Args:
          log: file to which its output is appended.
          stop: command that stops it; empty: SIGTERM.
          kill: command that kills it; empty: SIGKILL.
          stop_seconds: time to stop before it is killed.

        Raises:
          UserError: the program or the log file cannot be opened.
        """
        self.log, self._stop, self._kill, self._stop_seconds = log, tuple(stop), tuple(kill), stop_seconds
        try:
            os.makedirs(os.path.dirname(log), exist_ok=True)
            output = open(log, "ab")  # noqa: SIM115 - closed below
        except OSError as error:
            raise UserError(
                f"The server's log cannot be written: {error.strerror}. Give another directory with --root, or fix its "
                f"permissions. Received: {log}"
            ) from error
        try:
            with output:
                self._log_start = output.tell()
                self._child = child(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=os.environ | {"PYTHONPATH": _python_path()},
                    start_new_session=True,  # Ctrl-C reaches this process only, which then stops the server
                )
        except OSError as error:
            raise UserError(f"The server cannot be started: {error}. Received: {command[0]}") from error

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._child.poll()

    def tail(self) -> str:
        """Return the last lines of its log; none if it was deleted meanwhile."""
        try:
            with open(self.log, "rb") as file:
                file.seek(self._log_start)
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-_TAIL_LINES:])

    def stop(self) -> None:
        """Stop it; kill it if it does not stop in time or if the wait is interrupted."""
        if self.code is not None:
            self._run_kill()  # the container may still run after its command has ended
            return
        stopped = False
        try:
            stopped = bool(self._stop) and _succeeds(self._stop, self._stop_seconds + 10)
            if not stopped:  # there is no such command, or no container yet
                self._child.terminate()
            self._child.wait(self._stop_seconds)
        except (subprocess.TimeoutExpired, OSError, KeyboardInterrupt):
            stopped = False
        finally:
            if not stopped:
                self._run_kill()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)  # its children as well
            self._child.wait()

    def _run_kill(self) -> None:
        if self._kill:
            with contextlib.suppress(subprocess.TimeoutExpired, OSError):
                _succeeds(self._kill, self._stop_seconds + 10)


def await_available(
    process: Process,
    url: str,
    model: str,
    version: int,
    seconds: float,
    report: Callable[[str], None],
    http: status.HttpOptions | None = None,
) -> dict[int, status.VersionStatus]:
    """Wait until the server has loaded a version of the model.

    Args:
      version: to wait for; another one suffices if the server is not loading this one.
      seconds: longest wait.
      http: API key and certificate, if the server needs them.

    Returns:
      The status of each version.

    Raises:
      ServerFailed: the server ended, or it took too long.
    """
    started = time.monotonic()
    while (took := time.monotonic() - started) < seconds:
        if process.code is not None:
            raise ServerFailed(f"The server ended with exit code {process.code}:\n{process.tail()}")
        try:
            known, problem = status.fetch(url, model, http), ""
        except status.StatusUnavailable as error:
            known, problem = {}, f" ({error})"
        states = known or {}
        wanted = status.of(states, version)
        ready = [number for number, one in states.items() if one.state == status.AVAILABLE]
        if wanted.state == status.AVAILABLE or (ready and wanted.state not in status.LOADING):
            return states
        progress = "starting" if known is None else f"version {version} is {wanted.state}{problem}"
        report(f"{progress}, {took:.0f} s")
        time.sleep(0.1)
    raise ServerFailed(f"The model {model} was not available after {seconds:.0f} s:\n{process.tail()}")


def check_ports(host: str, ports: dict[str, int]) -> None:
    """Check that ports are free.

    Args:
      host: address to listen on.
      ports: by the name of the setting.

    Raises:
      UserError: a port is in use, not allowed or given twice, or the address is not this machine's.
    """
    for setting, port in ports.items():
        same = [other for other in ports if ports[other] == port]
        if len(same) > 1:
            raise UserError(
                f"Each of {', '.join(same)} needs a different port. Give another one with --set {same[-1]}=PORT. "
                f"Received: {' and '.join(f'{name}={port}' for name in same)}"
            )
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        except (OSError, UnicodeError) as error:  # the latter: not an internationalized domain name
            raise UserError(
                f"This is no address to listen on: {getattr(error, 'strerror', None) or error}. Give one of this "
                f"machine's with --host, for example 127.0.0.1. Received: serving.host={host}"
            ) from error
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:
            raise UserError(
                f"Port {port} of {host} cannot be used: {error.strerror or error}. Stop the process that uses it, or "
                f"give another one with --set {setting}=PORT. Received: {setting}={port}"
            ) from error


def interrupts() -> contextlib.AbstractContextManager[None]:
    """Make SIGTERM and SIGHUP raise KeyboardInterrupt as Ctrl-C does, unless they are ignored, as under `nohup`."""
    return startup.handling(startup.not_ignored(signal.SIGTERM, signal.SIGHUP), signal.default_int_handler)


def child(command: Sequence[str], **options: Any) -> "subprocess.Popen[Any]":
    """Start a program that the kernel ends with SIGTERM when this process ends, even if it is killed.

    Args:
      options: of `subprocess.Popen`.
    """
    # While `Popen` forks, Python can lose the exception of a signal handler, or the new process.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
    try:
        return subprocess.Popen(command, preexec_fn=_die_with_parent(os.getpid(), before), **options)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _die_with_parent(parent: int, mask: set[int | signal.Signals]) -> Callable[[], None]:
    def prepare() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until exec, this process's handler would swallow it
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # this process ended before prctl
            os._exit(1)

    return prepare


def _succeeds(command: Sequence[str], seconds: float) -> bool:
    return subprocess.run(command, capture_output=True, check=False, timeout=seconds).returncode == 0


def _python_path() -> str:
    """The project first, so that a Python child finds it from any working directory."""
    return os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
