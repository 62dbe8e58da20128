"""New versions for a running server, pushed, promoted and pruned as the project does it; some of them are broken."""

import subprocess
import sys
import time
from pathlib import Path

from components.models import versions
from scripts.traffic import MODEL
from scripts.traffic.up import ROOT, Up

TRUNCATED, NO_GRAPH, EMPTY = "truncated variables", "no saved_model.pb", "empty directory"
WAYS = (TRUNCATED, NO_GRAPH, EMPTY)
_GOOD_BEFORE_BROKEN = 2  # versions that can be loaded between two that cannot
_KEPT = 3  # versions after pruning: servers learn seconds later that a label has moved, so its previous version stays
_SECONDS = 120.0  # for a version to reach its state


class Rollouts:
    """The versions of one server.

    Attributes:
      served: the export of each version that requests may name.
      pushed: number of versions pushed that can be loaded.
      broken: how each other version was broken.
      pruned: number of versions deleted.
      faults: what went wrong.
    """

    def __init__(self, server: Up, exports: list[Path]) -> None:
        """Continue after the first version of each export, which the server has loaded."""
        self._server, self._exports = server, exports
        self.served = {number + 1: number for number in range(len(exports))}
        self.pushed, self.pruned = 0, 0
        self.broken: list[str] = []
        self.faults: list[str] = []
        self._steps = 0
        self._broken_version: int | None = None

    def step(self) -> None:
        """Push the next version: after every two good ones, a broken one."""
        self._steps += 1
        if self._broken_version is not None:
            versions.delete(str(self._server.base), self._broken_version)
            self._broken_version = None
        if self._steps % (_GOOD_BEFORE_BROKEN + 1):
            self._push()
        else:
            self._push_broken(WAYS[len(self.broken) % len(WAYS)])

    def _push(self) -> None:
        """Push as Pusher does, then promote and prune."""
        base, export = str(self._server.base), self.pushed % len(self._exports)
        with versions.locked(base):
            version = versions.publish(str(self._exports[export]), base)
        self.pushed += 1
        self._wait(version, "AVAILABLE")
        self.served = {**self.served, version: export}
        self._command("promote", str(version), f"--server-url={self._server.url}")
        gone = sorted(self.served)[:-_KEPT]
        self.served = {number: export for number, export in self.served.items() if number not in gone}
        self._command("prune", f"--keep={_KEPT}")
        for number in gone:
            self._wait(number, "END")
        self.pruned += len(gone)
        if left := [number for number in gone if number in versions.directories(base)]:
            self.faults.append(f"versions {left} are not deleted")

    def _push_broken(self, way: str) -> None:
        """Rename a directory that is no SavedModel; the server must report it and keep the others."""
        base = self._server.base
        version = max(versions.directories(str(base))) + 1
        incoming = base / f".incoming-{version}"
        if way == EMPTY:
            incoming.mkdir()
        else:
            versions.copy(str(self._exports[0]), str(incoming))
            for path in incoming.rglob("*"):
                if way == TRUNCATED and ".data-" in path.name:
                    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            if way == NO_GRAPH:
                (incoming / versions.SAVED_MODEL).unlink()
        incoming.rename(base / str(version))
        self.broken.append(way)
        self._broken_version = version
        states = self._wait(version, "END")
        if lost := [number for number in self.served if states.get(number) != "AVAILABLE"]:
            self.faults.append(f"versions {lost} are not available next to version {version}, {way}: {states}")

    def _wait(self, version: int, state: str) -> dict[int, str]:
        deadline = time.monotonic() + _SECONDS
        while (states := self._server.states()).get(version) != state:
            if time.monotonic() > deadline:
                self.faults.append(f"version {version} is not {state} after {_SECONDS:.0f} s: {states}")
                break
            time.sleep(0.1)
        return states

    def _command(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "serving", *arguments, "--root", str(self._server.root), f"--model={MODEL}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            self.faults.append(f"serving {' '.join(arguments)}: exit code {done.returncode}: {done.stderr[-500:]}")
