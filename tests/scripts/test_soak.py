"""Every kind of request, two pushes and a little fuzzing against `serving up`; what the script does with failures."""

import random
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts import fuzz, soak
from scripts.traffic import calls, export, rollouts, up
from tests import warm

pytestmark = pytest.mark.integration


@pytest.mark.slow
def test_short_run_finds_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", warm.python())
    monkeypatch.setattr(rollouts, "_GOOD_BEFORE_BROKEN", 1)
    monkeypatch.setattr(rollouts, "_KEPT", 2)  # not fewer: a version that just lost its label is still asked for by it
    for name, fewer in (("_QUESTIONS", 1), ("_MANY_CHARS", 60), ("_LONG_TEXT", 300), ("_STREAM_SEEDS", range(1))):
        monkeypatch.setattr(calls, name, fewer)
    # One test, so that one server starts.
    monkeypatch.setattr(soak, "_run", load_and_fuzz)
    export.write(str(tmp_path), seed=3)
    assert soak.main(["--export", str(tmp_path), "--export", str(tmp_path)]) == 0


def load_and_fuzz(server: up.Up, exports: list[Path], *_: object) -> int:
    pushes, draw = rollouts.Rollouts(server, exports), random.Random(0)
    asked = soak._calls(server, 0, pushes.served)
    faults = []
    for _ in range(2):
        faults += [fault for send in asked.kinds().values() if (fault := send(draw, pushes.served))]
        pushes.step()
    asked.close()
    assert (faults, pushes.faults) == ([], [])
    assert (pushes.pushed, pushes.pruned, pushes.broken) == (1, 1, [rollouts.TRUNCATED])
    assert server.states() == {4: "END", 3: "AVAILABLE", 2: "AVAILABLE", 1: "END"}
    outcome = fuzz.run(fuzz.Fuzzer.of(server.port), 0, range(10), 1)
    assert (outcome.faults, outcome.counts.total()) == ([], 100)
    assert server.mebibytes() > 0
    assert server.cpu_seconds() > 0
    assert server.runs()
    assert (server.stop(), server.logged_faults("Traceback|Unhandled")) == ([], [])
    assert server.logged_faults(" ERROR .*Version 4 of char_rnn cannot be loaded")
    return 0


def test_failed_requests_are_shown_and_change_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Server:
        """Runs until the load ends."""

        def runs(self) -> bool:
            return True

        def mebibytes(self) -> float:
            return 500.0

        def cpu_seconds(self) -> float:
            return 1.0

        def stop(self) -> list[str]:
            return ["`up` ended with exit code 3"]

        def logged_faults(self, pattern: str) -> list[str]:
            return ["the server's log: Traceback"]

    class Asked:
        """One kind of request, which fails."""

        def kinds(self) -> dict[str, object]:
            def send(*_: object) -> str:
                raise OSError("lost")

            return {"generate": send}

        def close(self) -> None:
            pass

    class Pushes:
        pushed, pruned, broken, served, faults = 0, 0, [], {1: 0}, ["version 3 is not AVAILABLE"]

        def step(self) -> None:
            pass

    monkeypatch.setattr(soak, "_calls", lambda *_: Asked())
    monkeypatch.setattr(soak.rollouts, "Rollouts", lambda *_: Pushes())
    console: Any = soak.Console(soft_wrap=True)
    options = soak.parsed(["--minutes", "0.003", "--rate", "1000", "--clients", "1"])
    assert soak._run(Server(), [], options, console) == 1  # type: ignore[arg-type]
    output = capsys.readouterr().out
    for fault in ("generate: OSError: lost", "version 3 is not AVAILABLE", "exit code 3", "log: Traceback"):
        assert fault in output
