"""Which versions of a model are loaded, and in which order. Loading is a stand-in without a graph."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving.embedded.models import served as module
from serving.embedded.models.served import ServedVersions
from serving.embedded.statuses import RequestError
from serving.tf_serving.model_config import All, Latest, Policy, ServedModel, Specific

pytestmark = pytest.mark.integration


class Loader:
    """Records the calls; versions in `broken` fail to load."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.broken: dict[int, Exception] = {}
        self.batched = True

    def __call__(self, name: str, directory: str) -> Any:
        number = int(Path(directory).name)
        self.events.append(f"try {number}")
        if number in self.broken:
            raise self.broken[number]
        self.events.append(f"load {number}")
        return FakePredictor(self.events, number, self.batched)


class FakePredictor:
    def __init__(self, events: list[str], number: int, batched: bool) -> None:
        self.events, self.number, self.batched = events, number, batched

    def close(self) -> None:
        self.events.append(f"close {self.number}")


class Model:
    def __init__(self, base: Path, policy: Policy | None = None, labels: dict[str, int] | None = None) -> None:
        self.base, self.loader = base, Loader()
        self.served = ServedVersions(ServedModel("m", str(base), policy or Latest(), labels or {}), self.loader)

    def push(self, *numbers: int) -> "Model":
        for number in numbers:
            (self.base / str(number)).mkdir()
            (self.base / str(number) / "saved_model.pb").touch()
        return self

    def scan(self) -> dict[int, str]:
        self.served.reconcile()
        until(lambda: "UNLOADING" not in self.states().values() or any(one.users for one in self.served.versions()))
        return self.states()

    def states(self) -> dict[int, str]:
        return {one.number: one.state for one in self.served.versions()}


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return Model(tmp_path)


@pytest.mark.parametrize(
    ("policy", "loaded"), [(Latest(1), {10}), (Latest(2), {9, 10}), (All(), {2, 9, 10}), (Specific((2, 9, 11)), {2, 9})]
)
def test_the_versions_of_the_policy_are_loaded(tmp_path: Path, policy: Policy, loaded: set[int]) -> None:
    assert Model(tmp_path, policy).push(10, 2, 9).scan() == dict.fromkeys(loaded, "AVAILABLE")


def test_a_new_version_is_loaded_before_the_old_one_is_unloaded(model: Model) -> None:
    assert model.push(1).scan() == {1: "AVAILABLE"}
    assert model.push(3, 2).scan() == {3: "AVAILABLE", 1: "END"}
    assert model.loader.events == ["try 1", "load 1", "try 3", "load 3", "close 1"]
    with model.served.use() as (number, _):
        assert number == 3


def test_names_that_are_not_version_numbers_are_ignored(model: Model) -> None:
    for name in (".incoming-7", "8.tmp", "-9", "١", "x", str(2**63), "9" * 200):
        (model.base / name).mkdir()
    assert model.push(1).scan() == {1: "AVAILABLE"}
    assert model.push(2**63 - 1).scan() == {2**63 - 1: "AVAILABLE", 1: "END"}


def test_leading_zeros_are_ignored(model: Model) -> None:
    (model.base / "00000123").mkdir()
    assert model.scan() == {123: "AVAILABLE"}


def test_the_last_version_stays_while_the_newest_is_broken(model: Model) -> None:
    model.push(1).scan()
    model.loader.broken[2] = RequestError("DATA_LOSS", "cut off")
    assert model.push(2).scan() == {2: "END", 1: "AVAILABLE"}
    newest = model.served.versions()[0]
    assert (newest.error_code, newest.error_message) == ("DATA_LOSS", "cut off")
    with model.served.use() as (number, _):
        assert number == 1
    assert model.push(3).scan() == {3: "AVAILABLE", 2: "END", 1: "END"}


@pytest.mark.parametrize("error", [MemoryError("no room"), RuntimeError("can't start new thread"), KeyError("x")])
def test_any_exception_while_loading_only_fails_the_version(model: Model, error: Exception) -> None:
    model.push(1).scan()
    model.loader.broken[2] = error
    assert model.push(2).scan() == {2: "END", 1: "AVAILABLE"}
    assert model.served.versions()[0].error_code == "INTERNAL"


def test_a_failed_version_is_retried_when_its_files_change(model: Model) -> None:
    model.loader.broken[1] = RequestError("NOT_FOUND", "variables are missing")
    model.push(1).scan()
    assert model.scan() == {1: "END"}
    assert model.loader.events == ["try 1"]
    (model.base / "1" / "variables").write_text("part")
    model.scan()
    assert model.loader.events == ["try 1", "try 1"]
    del model.loader.broken[1]
    (model.base / "1" / "variables").write_text("complete")
    assert model.scan() == {1: "AVAILABLE"}


def test_a_failed_version_is_retried_after_some_time(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    model.loader.broken[1] = RequestError("RESOURCE_EXHAUSTED", "no memory")
    model.push(1).scan()
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.0)
    del model.loader.broken[1]
    assert model.scan() == {1: "AVAILABLE"}


def test_a_version_with_late_files_is_reloaded_without_a_gap(model: Model) -> None:
    model.loader.batched = False
    model.push(1).scan()
    assert model.scan() == {1: "AVAILABLE"}
    assert model.loader.events == ["try 1", "load 1"]  # nothing has changed
    model.loader.broken[1] = RequestError("INVALID_ARGUMENT", "incomplete warm-up")
    (model.base / "1" / "late").write_text("part")
    assert [model.scan(), model.scan()] == [{1: "AVAILABLE"}] * 2
    assert model.loader.events == ["try 1", "load 1", "try 1"]
    del model.loader.broken[1]
    model.loader.batched = True
    (model.base / "1" / "late").write_text("complete")
    with model.served.use() as (_, before):
        assert model.scan() == {1: "AVAILABLE"}
        with model.served.use(1) as (_, after):
            assert (before.batched, after.batched) == (False, True)
        assert "close 1" not in model.loader.events
    until(lambda: model.loader.events[2:] == ["try 1", "try 1", "load 1", "close 1"])
    (model.base / "1" / "late").write_text("and more")
    assert model.scan() == {1: "AVAILABLE"}
    assert model.loader.events[-1] == "close 1"  # a batched version is not reloaded


def test_an_error_is_logged_once(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    model.loader.broken[1] = RequestError("NOT_FOUND", "variables are missing")
    with caplog.at_level(logging.ERROR):
        for size in range(3):
            model.push(*([] if size else [1]))
            (model.base / "1" / "variables").write_text("x" * size)
            model.scan()
    assert len([one for one in caplog.records if "variables are missing" in one.message]) == 1


def test_a_version_in_use_is_not_unloaded(model: Model) -> None:
    model.push(1).scan()
    with model.served.use() as (number, _):
        assert number == 1
        assert model.push(2).scan() == {2: "AVAILABLE", 1: "UNLOADING"}
        with model.served.use() as (newer, _):  # new requests use the new version
            assert newer == 2
        assert "close 1" not in model.loader.events
    until(lambda: model.states()[1] == "END")
    assert model.loader.events[-1] == "close 1"


def test_deleting_the_newest_version_falls_back_to_the_one_before(model: Model) -> None:
    model.push(1, 2).scan()
    (model.base / "2" / "saved_model.pb").unlink()
    (model.base / "2").rmdir()
    assert model.scan() == {2: "END", 1: "AVAILABLE"}
    assert model.loader.events == ["try 2", "load 2", "try 1", "load 1", "close 2"]


def test_an_empty_directory_unloads_all_and_a_missing_one_changes_nothing(model: Model) -> None:
    model.push(1).scan()
    elsewhere = model.base.with_name("elsewhere")
    model.base.rename(elsewhere)
    assert model.scan() == {1: "AVAILABLE"}
    elsewhere.rename(model.base)
    (model.base / "1").rename(model.base / "x")
    assert model.scan() == {1: "END"}
    with (
        pytest.raises(RequestError, match=r"Servable not found for request: Latest\(m\)") as caught,
        model.served.use(),
    ):
        pass
    assert caught.value.http == 404


def test_labels_select_versions_and_can_move(tmp_path: Path) -> None:
    model = Model(tmp_path, All(), {"stable": 1, "canary": 2, "lost": 9}).push(1, 2)
    model.scan()
    for label, expected in (("stable", 1), ("canary", 2)):
        with model.served.use(label=label) as (number, _):
            assert number == expected
    with (
        pytest.raises(RequestError, match="Unrecognized servable version label: beta") as caught,
        model.served.use(None, "beta"),
    ):
        pass
    assert caught.value.http == 400
    with pytest.raises(RequestError, match=r"Specific\(m, 9\)"), model.served.use(label="lost"):
        pass
    model.served.config = ServedModel("m", str(tmp_path), All(), {"stable": 2})
    with model.served.use(label="stable") as (number, _):
        assert number == 2


def test_a_version_that_is_not_available_is_not_found(model: Model) -> None:
    model.push(1, 2).scan()
    with model.served.use(2) as (number, _):
        assert number == 2
    with pytest.raises(RequestError, match=r"Specific\(m, 1\)") as caught, model.served.use(1):
        pass
    assert caught.value.http == 404


def test_a_new_policy_applies_at_the_next_scan(tmp_path: Path) -> None:
    model = Model(tmp_path, Specific((1,))).push(1, 2, 3)
    assert model.scan() == {1: "AVAILABLE"}
    model.served.config = ServedModel("m", str(tmp_path), Latest(2))
    assert model.scan() == {3: "AVAILABLE", 2: "AVAILABLE", 1: "END"}


def test_close_waits_for_requests_in_progress(model: Model) -> None:
    model.push(1).scan()
    with model.served.use():
        closing = threading.Thread(target=model.served.close)
        closing.start()
        until(lambda: model.states() == {1: "UNLOADING"})
        assert model.loader.events[-1] == "load 1"
    closing.join(10)
    assert (model.loader.events[-1], model.states()) == ("close 1", {1: "END"})
