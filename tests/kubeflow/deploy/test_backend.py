"""Deployments at the same time, in every order of their requests; other tests use the clients of the services."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubeflow.deploy.backend import Backend, Package
from tests.kubeflow.turns import Turns, every_order, some_orders


class Server:
    """Schedules by id: number, version and whether it is active. Newer schedules have lower ids."""

    def __init__(self, **schedules: list[Any]) -> None:
        self.schedules = {name: list(schedule) for name, schedule in schedules.items()}
        self.ids = (f"id-{number}" for number in itertools.count(99, -1))


class Memory(Backend):
    """Each request is one step. With `late_pause`, a paused schedule takes two requests, as on Vertex AI."""

    def __init__(self, server: Server, step: Callable[[], None] = lambda: None, late_pause: bool = False) -> None:
        super().__init__(lambda _: None)
        self._server, self._step, self._late_pause = server, step, late_pause

    def status(self, name: str) -> None: ...

    def _start_run(self, package: Package) -> str:
        return package.name

    def _prepare(self, package: Package, cron: str) -> str:
        return f"{package.name} {cron}"

    def _schedules(self, name: str) -> list[Any]:  # noqa: ARG002 - the base class defines it
        self._step()
        return [(identifier, *values) for identifier, values in self._server.schedules.items()]

    def _is_active(self, schedule: Any) -> bool:
        return bool(schedule[3])

    def _is_equal(self, schedule: Any, wanted: str) -> bool:
        return bool(schedule[2] == wanted)

    def _label(self, schedule: Any) -> str:
        return str(schedule[0])

    _id = _label

    def _number(self, schedule: Any) -> int:
        return int(schedule[1])

    def _create(self, wanted: str, paused: bool, number: int) -> Any:
        self._step()
        identifier = next(self._server.ids)
        self._server.schedules[identifier] = [number, wanted, self._late_pause or not paused]
        if paused and self._late_pause:
            self._set_active([identifier], False)
        return (identifier, number, wanted, not paused)

    def _set_active(self, schedule: Any, active: bool) -> None:
        self._step()
        if schedule[0] in self._server.schedules:
            self._server.schedules[schedule[0]][2] = active

    def _delete(self, schedule: Any) -> None:
        self._step()
        self._server.schedules.pop(schedule[0], None)


PACKAGE = Package("p", "")
STARTS: dict[str, dict[str, list[Any]]] = {
    "nothing": {},
    "one": {"a": [4, "p old", True]},
    "paused": {"a": [4, "p old", False]},
    "wanted by one": {"a": [4, "p one", True]},
    "left by an interruption": {"a": [4, "p one", True], "b": [5, "p old", True]},
    "of an earlier release": {"a": [0, "p one", True], "b": [0, "p two", True]},
}


def deploy_both(server: Server, choose: Callable[[list[str]], str], check: Callable[[], None], versions: str) -> None:
    turns = Turns(choose)

    def deploy(version: str) -> Callable[[], None]:
        return lambda: Memory(server, turns.step).deploy(PACKAGE, version)

    turns.run({f"{index} {version}": deploy(version) for index, version in enumerate(versions.split())}, check)


@pytest.mark.parametrize("versions", ["one two", "one one"])
@pytest.mark.parametrize("start", STARTS)
def test_two_deployments_in_parallel_leave_one_schedule_in_every_order(start: str, versions: str) -> None:
    repaired: set[str] = set()

    def check() -> None:
        """An interruption here leaves a schedule, and the next deployment leaves one."""
        assert server.schedules or not (STARTS[start] or seen)
        seen.extend(server.schedules)
        state = str(sorted(server.schedules.items()))
        if state not in repaired:
            repaired.add(state)
            copy = Server(**{name: list(values) for name, values in server.schedules.items()})
            Memory(copy).deploy(PACKAGE, "two")
            assert [values[1] for values in copy.schedules.values()] == ["p two"]

    for choices in every_order():
        server, seen = Server(**STARTS[start]), []
        deploy_both(server, choices, check, versions)
        ((_, version, active),) = server.schedules.values()
        assert version in [f"p {one}" for one in versions.split()]
        assert active == (start != "paused")
        if choices.names == sorted(choices.names, reverse=True):  # the second was complete before the first began
            assert version == "p one"


def test_three_deployments_in_parallel_leave_one_schedule() -> None:
    for choose in some_orders(100):
        server = Server(**STARTS["one"])
        deploy_both(server, choose, lambda: None, "one two three")
        assert len(server.schedules) == 1


@pytest.mark.parametrize("late_pause", [False, True])
def test_pause_of_the_previous_schedule_survives_deployments_in_parallel(late_pause: bool) -> None:
    for choose in some_orders(150):
        server, turns = Server(**STARTS["paused"]), Turns(choose)
        backends = {name: Memory(server, turns.step, late_pause) for name in ("one", "two")}
        turns.run({name: lambda one=one, name=name: one.deploy(PACKAGE, name) for name, one in backends.items()})
        assert [values[2] for values in server.schedules.values()] == [False]


@pytest.mark.parametrize("resume", [False, True])
def test_pause_or_resume_during_a_deployment_is_kept_in_every_order(resume: bool) -> None:
    for choices in every_order():
        server, turns = Server(a=[1, "p old", not resume]), Turns(choices)
        deploying, pausing = Memory(server, turns.step), Memory(server, turns.step)
        turns.run(
            {
                "deploy": lambda one=deploying: one.deploy(PACKAGE, "new"),
                "pause": lambda one=pausing: one.pause("p", resume),
            }
        )
        assert [values[1:] for values in server.schedules.values()] == [["p new", resume]]


def test_dry_run_reports_what_a_deployment_does_and_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.touch()
    server = Server(a=[1, "p old", False])
    printed: list[str] = []
    backend = Memory(server)
    backend._report = printed.append
    package = Package("p", str(file), {"corpus": "sample"}, "gs://b/runs")
    backend.deploy(package, "new", dry_run=True)
    assert server.schedules == {"a": [1, "p old", False]}
    assert printed == [
        "schedule 'new' would be created (paused, like the previous one)",
        "previous schedule a would be deleted",
        "its runs have the parameters {'corpus': 'sample'}, pipeline root gs://b/runs, account the default",
    ]
    printed.clear()
    backend.deploy(package, "old", dry_run=True)
    assert printed[0] == "schedule 'old' exists already (paused)"
    assert len(printed) == 2
