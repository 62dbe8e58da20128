"""Run the playground's process beside a model server."""

import time
from collections.abc import Callable, Sequence

import httpx

from components.errors import UserError
from serving.client.status import HttpOptions
from serving.launcher.process import Process
from serving.launcher.restarts import GAVE_UP, RestartLimiter

_START_SECONDS = 30.0
_RESPONSE_SECONDS = 2.0


class Page:
    """The playground's process, which is restarted if it ends.

    Example: `test_page_is_restarted` in tests/serving/launcher/test_playground.py.
    """

    def __init__(
        self,
        command: Sequence[str],
        url: str,
        log: str,
        report: Callable[[str], None],
        http: HttpOptions | None = None,
    ) -> None:
        """Start it.

        Args:
          http: API key and certificate, if the page needs them.

        Raises:
          UserError: the program or the log file cannot be opened.
        """
        self._command, self._url, self._log, self._report = tuple(command), url, log, report
        self._http = http or {}
        self._restarts = RestartLimiter()
        self._process: Process | None = Process(self._command, log)

    def announce(self) -> None:
        """Report the address as soon as it responds; `check` reports a process that ended."""
        deadline = time.monotonic() + _START_SECONDS
        while self._process is not None and self._process.code is None:
            if self._responds():
                self._report(f"playground: {self._url}\nplayground log: {self._log}")
                return
            if time.monotonic() > deadline:
                self._report(f"The playground does not respond at {self._url} yet. Log: {self._log}")
                return
            time.sleep(0.1)

    def check(self) -> None:
        """Restart it if it has ended, unless that happened too often."""
        if self._process is None or self._process.code is None:
            return
        self._report(f"The playground ended with exit code {self._process.code}:\n{self._process.tail()}")
        self._report(f"Log: {self._log}")
        self._process.stop()
        if self._restarts.should_give_up():
            self._process = None
            self._report(f"{GAVE_UP} The model is served without it.")
            return
        self._report("restarting ...")
        self._process = None
        try:
            self._process = Process(self._command, self._log)
        except UserError as error:
            self._report(f"{error} The model is served without it.")
            return
        self.announce()

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop()

    def _responds(self) -> bool:
        try:
            httpx.get(self._url, timeout=_RESPONSE_SECONDS, trust_env=False, **self._http)
        except httpx.HTTPError:
            return False
        return True
