"""Labels move only to what a server has loaded. The server is a stand-in: its states are given."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from components.errors import UserError
from pipeline.config import Config
from serving import apply, model_config, release, status
from serving.inventory import Shelf
from serving.model_config import All, ServedModel, Specific
from serving.settings import ServingSettings
from serving.status import VersionState

SETTINGS = ServingSettings(start_seconds=2, config_poll_seconds=3, poll_seconds=1)


class Server:
    """Loads what the file serves after some looks at it, and notes the file at every look."""

    def __init__(self, shelf: Shelf, slow: int = 0, broken: int | None = None) -> None:
        self.shelf, self.slow, self.broken, self.seen = shelf, slow, broken, []

    def states(self, url: str, model: str) -> dict[int, VersionState]:
        entry = model_config.find(self.shelf.config_path, model)
        assert entry is not None
        self.seen.append(entry)
        served = release.allowed(entry.policy, [1, 2, 3])
        if self.broken in served:
            return {version: VersionState("END", "no graph") for version in served if version == self.broken}
        loading = VersionState("LOADING", "of a former try")
        return {version: VersionState("AVAILABLE") if len(self.seen) > self.slow else loading for version in served}


class Sleeps(list):
    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def shelf(root: Path, push: Callable[..., Path]) -> Shelf:
    for version in (1, 2, 3):
        push(version)
    return Shelf.of(Config(root=str(root)))


def run(shelf: Shelf, change: apply.Change, sleeps: Sleeps | None = None) -> ServedModel:
    return apply.apply(shelf, change, SETTINGS, "http://server", lambda _: None, Sleeps() if sleeps is None else sleeps)


def test_without_a_server_the_file_is_written_at_once(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "states", lambda *_: None)
    sleeps = Sleeps()
    after = run(shelf, partial(release.promote, version=2), sleeps)
    assert after == ServedModel("char_rnn", shelf.base, All(), {"stable": 2, "canary": 3})
    assert model_config.read(shelf.config_path) == [after]
    assert sleeps == []


def test_a_withdrawn_version_is_loaded_before_its_label_moves(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "states", lambda *_: None)
    withdrawn = run(shelf, release.rollback)
    assert withdrawn == ServedModel("char_rnn", shelf.base, Specific((1, 2)), {"stable": 2, "canary": 2})
    server, sleeps = Server(shelf, slow=3), Sleeps()
    monkeypatch.setattr(status, "states", server.states)
    after = run(shelf, release.promote, sleeps)
    assert after == ServedModel("char_rnn", shelf.base, All(), {"stable": 3, "canary": 3})
    assert server.seen == [ServedModel("char_rnn", shelf.base, All(), {"stable": 2, "canary": 2})] * 4
    assert sleeps[0] >= 2 * SETTINGS.config_poll_seconds  # servers that cannot be asked have seen it, too


@pytest.mark.parametrize("slow", [0, 10**6])
def test_a_version_that_cannot_be_loaded_gets_no_label_and_is_withdrawn_again(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, slow: int
) -> None:
    monkeypatch.setattr(status, "states", lambda *_: None)
    before = run(shelf, release.rollback)
    monkeypatch.setattr(status, "states", Server(shelf, slow, None if slow else 3).states)
    with pytest.raises(UserError, match=r"version 3 .*(LOADING|no graph).*Received: http://server"):
        run(shelf, release.promote)
    assert model_config.read(shelf.config_path) == [before]


def test_what_others_changed_meanwhile_is_kept(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def states(*_: str) -> None:
        model_config.update(
            shelf.config_path, "char_rnn", lambda _: ServedModel("char_rnn", shelf.base, All(), {"canary": 1})
        )

    monkeypatch.setattr(status, "states", states)
    assert run(shelf, partial(release.promote, version=1, label="stable")).labels == {"stable": 1, "canary": 1}


def test_a_server_that_does_not_know_the_model_is_not_asked_further(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "states", lambda *_: {})
    assert run(shelf, release.promote).labels == {"stable": 3, "canary": 3}
