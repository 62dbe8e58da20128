"""Keep the playground's process running beside a model server."""

import time
from collections.abc import Callable, Sequence

import httpx

from serving.launcher.process import Process
from serving.launcher.restarts import TOO_MANY, Deaths

_START_SECONDS = 30.0
_ANSWER_SECONDS = 2.0


class Page:
    """The page's process: started, waited for, started again when it dies."""

    def __init__(self, command: Sequence[str], url: str, log: str, say: Callable[[str], None]) -> None:
        """Start it.

        Args:
          command: program and arguments.
          url: at which it will answer.
          log: file to which its output is added.
          say: told, in words, what becomes of it.

        Raises:
          UserError: the program or the log file cannot be opened.
        """
        self._command, self._url, self._log, self._say = tuple(command), url, log, say
        self._deaths = Deaths()
        self._process: Process | None = Process(self._command, log)

    def announce(self) -> None:
        """Say where it is, once it answers there; of one that died, `look` tells."""
        deadline = time.monotonic() + _START_SECONDS
        while self._process is not None and self._process.code is None:
            if self._answers():
                self._say(f"playground: {self._url}\nits log: {self._log}")
                return
            if time.monotonic() > deadline:
                self._say(f"The playground does not answer at {self._url} yet. Log: {self._log}")
                return
            time.sleep(0.1)

    def look(self) -> None:
        """Start it again if it died, unless it died too often."""
        if self._process is None or self._process.code is None:
            return
        self._say(f"The playground ended with exit code {self._process.code}:\n{self._process.tail()}")
        self._say(f"Log: {self._log}")
        self._process.stop()
        if self._deaths.another():
            self._process = None
            self._say(f"{TOO_MANY} The model is served without it.")
            return
        self._say("starting it again ...")
        self._process = Process(self._command, self._log)
        self.announce()

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.stop()

    def _answers(self) -> bool:
        try:
            httpx.get(self._url, timeout=_ANSWER_SECONDS, trust_env=False)
        except httpx.HTTPError:
            return False
        return True
