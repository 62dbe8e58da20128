"""Labels move only to versions that the server has loaded. The server is a fake with scripted states."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from components.errors import UserError
from pipeline.config.run import Config
from pipeline.config.serving import ServingSettings
from serving.client import status
from serving.client.status import VersionStatus
from serving.commands import rollback
from serving.rollout import apply, awaited, labels
from serving.rollout.inventory import ModelPaths
from serving.tf_serving import model_config
from serving.tf_serving.model_config import All, ServedModel, Specific

SETTINGS = ServingSettings(start_seconds=2, config_poll_seconds=3, poll_seconds=1)


class Server:
    """Loads the served versions after some requests, and records the entry at each request."""

    def __init__(self, paths: ModelPaths, slow: int = 0, broken: int | None = None) -> None:
        self.paths, self.slow, self.broken, self.seen = paths, slow, broken, []

    def states(self, url: str, model: str, *_: object) -> dict[int, VersionStatus]:
        entry = model_config.find(self.paths.config_path, model)
        assert entry is not None
        self.seen.append(entry)
        served = labels.allowed(entry.policy, [1, 2, 3])
        if self.broken is not None and self.broken in served:
            return {
                version: VersionStatus(version, "END", error_message="no graph")
                for version in served
                if version == self.broken
            }
        state, error = ("AVAILABLE", "") if len(self.seen) > self.slow else ("LOADING", "of a previous attempt")
        return {version: VersionStatus(version, state, error_message=error) for version in served}


class Sleeps(list):
    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def paths(root: Path, push: Callable[..., Path]) -> ModelPaths:
    for version in (1, 2, 3):
        push(version)
    return ModelPaths.of(Config(root=str(root)))


def run(paths: ModelPaths, change: apply.Change, sleeps: Sleeps | None = None, **options: bool) -> ServedModel:
    sleep = Sleeps() if sleeps is None else sleeps
    return apply.apply(paths, change, SETTINGS, "http://server", lambda _: None, sleep, **options)


def test_without_a_server_the_file_is_written_at_once(paths: ModelPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "fetch", lambda *_: None)
    sleeps = Sleeps()
    after = run(paths, partial(labels.promote, version=2), sleeps)
    assert after == ServedModel("char_rnn", paths.base, All(), {"stable": 2, "canary": 3})
    assert model_config.read(paths.config_path) == [after]
    assert sleeps == []


def test_withdrawn_version_is_loaded_before_its_label_moves(paths: ModelPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "fetch", lambda *_: None)
    withdrawn = run(paths, labels.rollback)
    assert withdrawn == ServedModel("char_rnn", paths.base, Specific((1, 2)), {"stable": 2, "canary": 2})
    server, sleeps = Server(paths, slow=3), Sleeps()
    monkeypatch.setattr(status, "fetch", server.states)
    after = run(paths, labels.promote, sleeps)
    assert after == ServedModel("char_rnn", paths.base, All(), {"stable": 3, "canary": 3})
    assert {(one.policy, *one.labels.values()) for one in server.seen[1:]} == {(Specific((1, 2, 3)), 2, 2)}
    assert sleeps[0] >= 2 * SETTINGS.config_poll_seconds  # enough for other servers to read the file


@pytest.mark.parametrize("slow", [0, 10**6])
def test_version_that_fails_to_load_gets_no_label_and_is_withdrawn_again(
    paths: ModelPaths, monkeypatch: pytest.MonkeyPatch, slow: int
) -> None:
    monkeypatch.setattr(status, "fetch", lambda *_: None)
    before = run(paths, labels.rollback)
    monkeypatch.setattr(status, "fetch", Server(paths, slow, None if slow else 3).states)
    with pytest.raises(UserError, match=r"version 3 .*(LOADING|no graph).*Received: http://server"):
        run(paths, labels.promote)
    assert model_config.read(paths.config_path) == [before]


def test_concurrent_change_is_kept(paths: ModelPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    def states(*_: str) -> None:
        model_config.update(
            paths.config_path, "char_rnn", lambda _: ServedModel("char_rnn", paths.base, All(), {"canary": 1})
        )

    monkeypatch.setattr(status, "fetch", states)
    assert run(paths, partial(labels.promote, version=1, label="stable")).labels == {"stable": 1, "canary": 1}


class Meanwhile:
    """A server that has loaded everything; other operators act while a command waits until servers have read the file.

    Args:
      actions: for each wait, in order.
    """

    def __init__(self, paths: ModelPaths, monkeypatch: pytest.MonkeyPatch, *actions: Callable[[], object]) -> None:
        self.paths, self.actions, self.waits = paths, list(actions), 0
        loaded = {version: VersionStatus(version, "AVAILABLE") for version in (1, 2, 3)}
        monkeypatch.setattr(status, "fetch", lambda *_: loaded)

    def run(self, change: apply.Change, report: Callable[[str], None] = lambda _: None) -> ServedModel:
        return apply.apply(self.paths, change, SETTINGS, "http://server", report, self.sleep)

    def sleep(self, _: float) -> None:
        self.waits += 1
        if self.actions:
            self.actions.pop(0)()

    def now(self) -> ServedModel:
        (entry,) = model_config.read(self.paths.config_path)
        return entry


def interrupt() -> None:
    raise KeyboardInterrupt


def rolled_back(paths: ModelPaths, version: int) -> ServedModel:
    both = {"canary": version, "stable": version}
    return ServedModel("char_rnn", paths.base, Specific(tuple(range(1, version + 1))), both)


def test_rollback_during_a_promotion_stays_and_the_promotion_fails(
    paths: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(paths, labels.rollback)
    others = Meanwhile(paths, monkeypatch, lambda: run(paths, labels.rollback))
    with pytest.raises(UserError, match="Another command withdrew version 3 .* Received: version 3"):
        others.run(labels.promote)
    assert others.now() == rolled_back(paths, 1)


def test_interrupt_of_a_promotion_undoes_only_its_own_change(
    paths: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rollback_and_interrupt() -> None:
        run(paths, labels.rollback)
        interrupt()

    run(paths, labels.rollback)
    others = Meanwhile(paths, monkeypatch, interrupt, rollback_and_interrupt)
    for version in (2, 1):
        with pytest.raises(KeyboardInterrupt):
            others.run(labels.promote)
        assert others.now() == rolled_back(paths, version)


def test_interrupt_while_a_failed_promotion_is_undone_does_not_prevent_that(
    paths: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked, update = [interrupt], model_config.update

    def interrupted(*arguments: Any) -> ServedModel | None:
        if locked:
            locked.pop()()
        return update(*arguments)

    def fail() -> None:
        monkeypatch.setattr(model_config, "update", interrupted)
        raise ZeroDivisionError

    run(paths, labels.rollback)
    others = Meanwhile(paths, monkeypatch, fail)
    with pytest.raises(KeyboardInterrupt):
        others.run(labels.promote)
    assert others.now() == rolled_back(paths, 2)


def test_interrupted_promotion_keeps_a_version_that_another_has_labeled(
    paths: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def promote_and_interrupt() -> None:
        others.run(partial(labels.promote, version=3, label="canary"))
        interrupt()

    run(paths, labels.rollback)
    others = Meanwhile(paths, monkeypatch, promote_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        others.run(labels.promote)
    assert others.now() == ServedModel("char_rnn", paths.base, All(), {"stable": 2, "canary": 3})


def test_promotion_survives_the_interrupt_of_another_of_the_same_version(
    paths: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(step: Callable[[ServedModel], ServedModel]) -> None:
        model_config.update(paths.config_path, "char_rnn", lambda entry: entry and step(entry))

    run(paths, labels.rollback)
    change(lambda entry: awaited.served(entry, {3}, [1, 2, 3], "other"))
    second = Meanwhile(paths, monkeypatch, lambda: change(lambda entry: awaited.given_up(entry, "other")))
    assert second.run(labels.promote).labels == {"stable": 3, "canary": 3}
    assert second.waits == 1, "servers may not have read yet what the other has written"


def test_promotion_after_a_killed_one_waits_as_if_it_were_the_first(
    paths: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run(paths, labels.rollback)
    killed = awaited.served(before, {3}, [1, 2, 3], "killed")
    model_config.update(paths.config_path, "char_rnn", lambda _: killed)
    others = Meanwhile(paths, monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt):
        others.run(labels.promote)
    assert others.now() == killed
    after = others.run(labels.promote)
    assert (others.waits, after.labels, after.awaited) == (2, {"stable": 3, "canary": 3}, {})


def test_two_rollbacks_at_the_same_time_go_back_by_one_version(
    paths: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(url: str, *_: object) -> None:
        asked.append(url)
        if len(asked) == 1:
            run(paths, rollback.change(None))

    monkeypatch.setattr(status, "fetch", answer)
    assert run(paths, rollback.change(None)) == rolled_back(paths, 2)


def test_change_that_cannot_be_undone_is_reported_with_its_cause(
    paths: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_disk_and_interrupt() -> None:
        monkeypatch.setattr(os, "fsync", fail)
        interrupt()

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    run(paths, labels.rollback)
    messages: list[str] = []
    others = Meanwhile(paths, monkeypatch, fill_disk_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        others.run(labels.promote, messages.append)
    assert "still served without a label: " in messages[-1]
    assert "No space left on device" in messages[-1]
    assert others.now().labels == {"stable": 2, "canary": 2}


def test_answer_of_the_server_counts_only_for_the_file_that_it_was_asked_about(
    paths: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(url: str, *_: object) -> dict[int, VersionStatus]:
        asked.append(url)
        if len(asked) == 2:  # after the answer that all is loaded
            model_config.update(
                paths.config_path, "char_rnn", lambda _: ServedModel("char_rnn", paths.base, All(), {"canary": 1})
            )
        return {2: VersionStatus(2, "AVAILABLE")}

    monkeypatch.setattr(status, "fetch", answer)
    assert run(paths, partial(labels.promote, version=2)).labels == {"stable": 2, "canary": 2}
    assert len(asked) == 3


def test_server_without_the_model_is_ignored(paths: ModelPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "fetch", lambda *_: {})
    assert run(paths, labels.promote).labels == {"stable": 3, "canary": 3}


@pytest.mark.parametrize("answer", [None, {}])
def test_explicit_server_must_know_the_model(
    paths: ModelPaths, monkeypatch: pytest.MonkeyPatch, answer: dict[int, VersionStatus] | None
) -> None:
    monkeypatch.setattr(status, "fetch", lambda *_: answer)
    with pytest.raises(UserError, match="Received: --server-url http://server"):
        run(paths, labels.promote, must_answer=True)
    assert not Path(paths.config_path).exists()


def test_missing_server_is_reported(paths: ModelPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[str] = []
    monkeypatch.setattr(status, "fetch", lambda *_: None)
    apply.apply(paths, labels.promote, SETTINGS, "http://server", messages.append, Sleeps())
    assert messages == [
        "no server responds at http://server: the labels move without a check that a server can load them"
    ]


class Busy:
    """Returns or raises the items of the list in order, the last one forever."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)

    def __call__(self, *_: str) -> dict[int, VersionStatus] | None:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[return-value]


@pytest.mark.parametrize("later", [status.StatusUnavailable("it responds with HTTP status 503"), None, {}])
def test_no_label_moves_without_a_status(paths: ModelPaths, monkeypatch: pytest.MonkeyPatch, later: object) -> None:
    monkeypatch.setattr(status, "fetch", Busy(status.StatusUnavailable("busy"), later))
    with pytest.raises(UserError, match=r"version 2 .*(503|no longer responds|does not know).* after 2 s"):
        run(paths, partial(labels.promote, version=2))
    assert not Path(paths.config_path).exists()


def test_busy_server_is_waited_for(paths: ModelPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = {2: VersionStatus(2, "AVAILABLE")}
    monkeypatch.setattr(
        status, "fetch", Busy(status.StatusUnavailable("busy"), None, status.StatusUnavailable("busy"), loaded)
    )
    assert run(paths, partial(labels.promote, version=2)).labels["stable"] == 2


def test_version_pushed_meanwhile_must_load_as_well(
    paths: ModelPaths, push: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = {version: VersionStatus(version, "AVAILABLE") for version in (1, 2, 3)}
    asked: list[str] = []

    def states(url: str, *_: object) -> dict[int, VersionStatus]:
        asked.append(url)
        if len(asked) == 2:
            push(4)
        return loaded if len(asked) < 4 else loaded | {4: VersionStatus(4, "END", error_message="no graph")}

    both = {"stable": 1, "canary": 1}
    model_config.update(paths.config_path, "char_rnn", lambda _: ServedModel("char_rnn", paths.base, All(), both))
    monkeypatch.setattr(status, "fetch", states)
    with pytest.raises(UserError, match="version 4 .*no graph"):
        run(paths, labels.promote)
    assert model_config.read(paths.config_path)[0].labels == both


def test_copy_is_not_labeled_instead_of_its_original(paths: ModelPaths, tmp_path: Path) -> None:
    entry = ServedModel("char_rnn", str(tmp_path), All(), {"stable": 1, "canary": 1})
    model_config.update(paths.config_path, "char_rnn", lambda _: entry)
    with pytest.raises(UserError, match=f"serves the versions in {tmp_path}.*Received: versions in {paths.base}"):
        run(paths, labels.promote)
    assert model_config.read(paths.config_path) == [entry]


def test_link_to_the_same_directory_is_not_a_copy(
    paths: ModelPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "fetch", lambda *_: None)
    (tmp_path / "link").symlink_to(paths.base)
    entry = ServedModel("char_rnn", str(tmp_path / "link"), All(), {"stable": 1, "canary": 1})
    model_config.update(paths.config_path, "char_rnn", lambda _: entry)
    assert run(paths, labels.promote).labels["stable"] == 3
