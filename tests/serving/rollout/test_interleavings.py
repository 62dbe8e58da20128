"""Operators at work at the same time: a change that was reported as done stays until a later reported one replaces it.

Hypothesis chooses which command runs to its next pause, and what else happens meanwhile: pushes, polls and restarts of
the server, Ctrl-C, SIGKILL. After each step, `models.config` must hold what the reported commands make of it one after
another, and a server that follows TF Serving's rules must accept the file. $INTERLEAVINGS is the number of examples;
with it, the counts are printed.
"""

import functools
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from components.errors import UserError
from components.models import versions
from pipeline.config.serving import ServingSettings
from serving.client.status import VersionStatus
from serving.commands import prune, rollback
from serving.launcher import configure
from serving.rollout import apply, labels
from serving.rollout.inventory import ModelPaths
from serving.tf_serving import model_config
from serving.tf_serving.model_config import All, Latest, ServedModel, Specific
from tests.serving.rollout import operators
from tests.serving.rollout.operators import Killed, Operator, TFServing

SETTINGS = ServingSettings(start_seconds=2, config_poll_seconds=3, poll_seconds=1)
SLOTS = st.integers(0, 2)
COMMANDS = st.tuples(
    st.sampled_from(["promote", "promote", "rollback", "rollback", "prune", "up"]),
    st.integers(-1, 3),  # how many versions before the newest or before `stable`; -1: the command's default
    st.sampled_from(labels.LABELS),
)
ON_2, ON_3 = {"stable": 2, "canary": 2}, {"stable": 3, "canary": 3}
FIRST = [None, (All(), ON_3), (Latest(1), {}), *2 * [(Specific((1, 2)), ON_2), (Specific((2,)), ON_2)]]
counts: Counter[str] = Counter()


@dataclass
class Command:
    """A command in progress.

    Attributes:
      effect: on an entry, if nothing else happened meanwhile.
      targets: versions that it may serve before it is done; None: the newest, and those pushed meanwhile.
      newest: whether it promotes the newest version.
      began: versions that were served when it began, by reported changes.
      seen: the versions when it last got the lock.
      withdrawn: those of `began` that a rollback has withdrawn since.
    """

    name: str
    operator: Operator
    effect: Callable[[ServedModel, list[int]], ServedModel]
    targets: set[int]
    newest: bool
    began: set[int]
    seen: list[int] = field(default_factory=list)
    withdrawn: set[int] = field(default_factory=set)
    interrupted: bool = False


class Operators(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.directory = tempfile.mkdtemp(prefix="operators-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        root = Path(self.directory)
        self.paths = ModelPaths("m", self.directory, str(root / "serving" / "m"), str(root / "registry" / "m"))
        self.running: dict[int, Command] = {}
        self.abandoned: set[int] = set()  # served by a killed command
        self.deleted: set[int] = set()
        self.broken: set[int] = set()
        self.pushed = 0
        self.began_with_latest = False
        self.server: TFServing | None = None
        self.promised: ServedModel | None = None
        operators.install(self.patch, self.fetch)
        self.patch.setattr(model_config, "parse", functools.cache(model_config.parse))  # protobuf's parser is slow
        self.overlapped = False

    def fetch(self) -> dict[int, VersionStatus] | None:
        return None if self.server is None else self.server.states()

    def entry(self) -> ServedModel | None:
        return model_config.find(self.paths.config_path, "m")

    def served(self) -> set[int]:
        """Versions that the reported changes serve."""
        return set(labels.allowed(self.promised.policy, self.on_disk())) if self.promised else set()

    def on_disk(self) -> list[int]:
        return versions.complete(self.paths.base)

    @initialize(
        has_server=st.booleans(),
        first=st.sampled_from(FIRST),
        commands=st.lists(COMMANDS, min_size=2, max_size=3),
    )
    def begin(self, has_server: bool, first: Any, commands: list[tuple[str, int, str]]) -> None:
        for _ in range(3):
            self.push(broken=False)
        if first is not None or has_server:
            self.began_with_latest = first is not None and isinstance(first[0], Latest)
            policy, labeled = first or (All(), ON_3)
            self.promised = ServedModel("m", self.paths.base, policy, labeled)
            Path(self.paths.config_path).write_text(model_config.merged("", self.promised))
        if has_server:
            self.server = TFServing()
            self.poll()
        for command in commands:
            self.start(command)

    @rule(broken=st.booleans())
    def push(self, broken: bool) -> None:
        self.pushed += 1
        directory = Path(self.paths.base, str(self.pushed))
        directory.mkdir(parents=True)
        (directory / versions.SAVED_MODEL).touch()
        if broken:
            self.broken.add(self.pushed)
        for command in self.running.values():
            if command.newest:
                command.targets.add(self.pushed)

    def poll(self) -> None:
        entry = self.entry()
        assert self.server is not None
        assert entry is not None
        self.server.poll(entry, self.on_disk(), self.broken)

    @precondition(lambda self: self.server)
    @rule(event=st.sampled_from(["poll", "poll", "busy", "not busy", "restart"]))
    def disturb_server(self, event: str) -> None:
        assert self.server is not None
        if "busy" in event:
            self.server.busy = event == "busy"
            return
        if event == "restart":
            self.server = TFServing()
        self.poll()

    @precondition(lambda self: len(self.running) < 3)
    @rule(command=COMMANDS)
    def start(self, command: tuple[str, int, str]) -> None:
        kind, back, label = command
        slot = min({0, 1, 2} - set(self.running))
        found = self.on_disk()
        if kind == "promote":
            version = None if back < 0 else found[max(0, len(found) - 1 - back)]
            effect = functools.partial(labels.promote, version=version, label=label)
            self._start(slot, "promote", effect, effect, {version or found[-1]}, version is None)
        elif kind == "rollback":
            stable = apply.entry_or_first(self.paths, self.entry(), found).labels.get(labels.STABLE, found[-1])
            below = [version for version in found if version <= stable]
            to = None if back < 0 else below[max(0, len(below) - 1 - back)]
            decided = below[max(0, len(below) - 2)] if to is None else to
            effect = functools.partial(labels.rollback, to=decided)
            self._start(slot, "rollback", rollback.change(to), effect, {decided})
        elif kind == "prune":
            keep = max(1, back)

            def prune_effect(entry: ServedModel, found: list[int]) -> ServedModel:
                return labels.prune(entry, found, keep)[0]

            self._run(slot, "prune", lambda: prune.delete_oldest(self.paths, keep), prune_effect, set())
        else:
            self._run(slot, "up", lambda: configure.write_entry(self.paths, lambda _: None), labels.repaired, set())

    def _start(self, slot: int, name: str, change: Any, effect: Any, targets: set[int], newest: bool = False) -> None:
        def run() -> ServedModel:
            return apply.apply(self.paths, change, SETTINGS, "http://server", lambda _: None, operators.sleep)

        self._run(slot, name, run, effect, targets, newest)

    def _run(
        self, slot: int, name: str, run: Callable[[], Any], effect: Any, targets: set[int], newest: bool = False
    ) -> None:
        entry, found = self.entry(), self.on_disk()
        # A change that is written and not reported yet came before this command.
        began = self.served() & set(labels.allowed(entry.policy, found) if entry else found)
        self.running[slot] = Command(name, Operator(run), effect, targets, newest, began)
        self.overlapped |= len(self.running) > 1
        self.advance(slot, 1)

    @precondition(lambda self: self.running)
    @rule(slot=SLOTS)
    def advance_by_one(self, slot: int) -> None:
        self.advance(slot, 1)

    @precondition(lambda self: self.running)
    @rule(slot=SLOTS, pauses=st.integers(2, 6))
    def advance(self, slot: int, pauses: int) -> None:
        """Run a command to its next pauses."""
        while pauses and (command := self.running.get(slot)):
            pauses -= 1
            operator = command.operator
            if operator.at in ("start", "lock", "locked"):
                command.seen = self.on_disk()
            if operator.at == "sleeps" and operator.seconds > SETTINGS.config_poll_seconds and self.server:
                self.poll()
            operator.resume()
            self._collect(slot)

    @precondition(lambda self: self.running)
    @rule(slot=SLOTS, kill=st.booleans())
    def stop(self, slot: int, kill: bool) -> None:
        """Ctrl-C or SIGKILL."""
        if command := self.running.get(slot):
            counts[f"{'SIGKILL' if kill else 'Ctrl-C'} at {command.operator.at}"] += 1
            if kill or command.interrupted:  # the second Ctrl-C may prevent that the command undoes its change
                self.abandoned |= command.targets
            command.interrupted = True
            self._settle(command)
            (command.operator.kill if kill else command.operator.interrupt)()
            self._collect(slot)

    def _settle(self, command: Command) -> None:
        """A command that ends after its last write has done its work, although it does not report that."""
        if command.operator.at in ("written", "deletes"):
            done = self._after(command)
            entry = self.entry()
            if entry is None or entry.labels == done.labels:
                self.promised = entry and done

    def _after(self, command: Command) -> ServedModel:
        return command.effect(apply.entry_or_first(self.paths, self.promised, command.seen), command.seen)

    def _collect(self, slot: int) -> None:
        command = self.running[slot]
        operator = command.operator
        if not operator.ended:
            return
        operator.join()
        del self.running[slot]
        if operator.error is not None:
            assert isinstance(operator.error, UserError | KeyboardInterrupt | Killed), operator.error
            counts[f"{command.name}: {type(operator.error).__name__}"] += 1
            return
        counts[f"{command.name} reported"] += 1
        if command.name == "prune":
            deleted, errors = operator.result
            assert not errors
            self.deleted |= set(deleted)
        if command.name != "prune" or self.promised is not None:
            self.promised = self._after(command)
        if command.name in ("promote", "rollback"):
            assert self.promised is not None
            assert operator.result.labels == self.promised.labels
            assert command.name == "rollback" or not command.withdrawn & set(self.promised.labels.values())
            for other in self.running.values():
                known = other.began if command.name == "rollback" else other.withdrawn
                other.withdrawn = known - self.served()

    @invariant()
    def reported_changes_are_in_effect(self) -> None:
        entry, found = self.entry(), self.on_disk()
        promised = set(labels.allowed(self.promised.policy, found)) if self.promised else set()
        assert not self.deleted & set(found)
        if any(command.operator.at in ("written", "deletes") for command in self.running.values()):
            return  # not reported yet
        if self.promised is None:
            assert entry is None
            return
        assert entry is not None
        served = set(labels.allowed(entry.policy, found))
        assert entry.labels == self.promised.labels
        assert set(entry.labels.values()) <= served
        assert promised <= served != set()
        assert entry.base_path == self.paths.base
        if isinstance(entry.policy, Specific):
            assert not self.deleted & set(entry.policy.versions)
        if not isinstance(self.promised.policy, Latest):
            in_progress = set().union(*(command.targets for command in self.running.values()))
            # A policy of newest versions can await a version only together with all above it.
            stable = self.promised.labels.get(labels.STABLE, 0)
            in_progress |= {version for version in found if self.began_with_latest and version < stable}
            assert served - promised <= in_progress | self.abandoned, "a withdrawn version is served"

    def teardown(self) -> None:
        try:
            for _ in range(100):
                if self.server:
                    self.server.busy = False
                    self.poll()
                if not self.running:
                    break
                for slot in list(self.running):
                    self.advance(slot, 1)
                self.reported_changes_are_in_effect()
            assert not self.running, "a command does not end"
            counts["overlapping" if self.overlapped else "one command at a time"] += 1
        finally:
            for command in self.running.values():
                command.operator.kill()
            self.patch.undo()
            shutil.rmtree(self.directory)


def test_no_reported_change_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    examples = os.environ.get("INTERLEAVINGS")
    chosen = settings(max_examples=int(examples or 80), stateful_step_count=30, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Operators, settings=chosen)
    if examples:
        with capsys.disabled():
            print("", *(f"{count:7,} {what}" for what, count in sorted(counts.items())), sep="\n")
