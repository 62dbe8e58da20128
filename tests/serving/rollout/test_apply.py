"""Labels move only to what a server has loaded. The server is a stand-in: its states are given."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from components.errors import UserError
from pipeline.config.run import Config
from pipeline.config.serving import ServingSettings
from serving.client import status
from serving.client.status import VersionStatus
from serving.rollout import apply, labels
from serving.rollout.inventory import Shelf
from serving.tf_serving import model_config
from serving.tf_serving.model_config import All, ServedModel, Specific

SETTINGS = ServingSettings(start_seconds=2, config_poll_seconds=3, poll_seconds=1)


class Server:
    """Loads what the file serves after some looks at it, and notes the file at every look."""

    def __init__(self, shelf: Shelf, slow: int = 0, broken: int | None = None) -> None:
        self.shelf, self.slow, self.broken, self.seen = shelf, slow, broken, []

    def states(self, url: str, model: str) -> dict[int, VersionStatus]:
        entry = model_config.find(self.shelf.config_path, model)
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
def shelf(root: Path, push: Callable[..., Path]) -> Shelf:
    for version in (1, 2, 3):
        push(version)
    return Shelf.of(Config(root=str(root)))


def run(shelf: Shelf, change: apply.Change, sleeps: Sleeps | None = None, **options: bool) -> ServedModel:
    sleep = Sleeps() if sleeps is None else sleeps
    return apply.apply(shelf, change, SETTINGS, "http://server", lambda _: None, sleep, **options)


def test_without_a_server_the_file_is_written_at_once(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "fetch", lambda *_: None)
    sleeps = Sleeps()
    after = run(shelf, partial(labels.promote, version=2), sleeps)
    assert after == ServedModel("char_rnn", shelf.base, All(), {"stable": 2, "canary": 3})
    assert model_config.read(shelf.config_path) == [after]
    assert sleeps == []


def test_a_withdrawn_version_is_loaded_before_its_label_moves(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "fetch", lambda *_: None)
    withdrawn = run(shelf, labels.rollback)
    assert withdrawn == ServedModel("char_rnn", shelf.base, Specific((1, 2)), {"stable": 2, "canary": 2})
    server, sleeps = Server(shelf, slow=3), Sleeps()
    monkeypatch.setattr(status, "fetch", server.states)
    after = run(shelf, labels.promote, sleeps)
    assert after == ServedModel("char_rnn", shelf.base, All(), {"stable": 3, "canary": 3})
    assert server.seen[1:] == [ServedModel("char_rnn", shelf.base, All(), {"stable": 2, "canary": 2})] * 3
    assert sleeps[0] >= 2 * SETTINGS.config_poll_seconds  # servers that cannot be asked have seen it, too


@pytest.mark.parametrize("slow", [0, 10**6])
def test_a_version_that_cannot_be_loaded_gets_no_label_and_is_withdrawn_again(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, slow: int
) -> None:
    monkeypatch.setattr(status, "fetch", lambda *_: None)
    before = run(shelf, labels.rollback)
    monkeypatch.setattr(status, "fetch", Server(shelf, slow, None if slow else 3).states)
    with pytest.raises(UserError, match=r"version 3 .*(LOADING|no graph).*Received: http://server"):
        run(shelf, labels.promote)
    assert model_config.read(shelf.config_path) == [before]


def test_what_others_changed_meanwhile_is_kept(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def states(*_: str) -> None:
        model_config.update(
            shelf.config_path, "char_rnn", lambda _: ServedModel("char_rnn", shelf.base, All(), {"canary": 1})
        )

    monkeypatch.setattr(status, "fetch", states)
    assert run(shelf, partial(labels.promote, version=1, label="stable")).labels == {"stable": 1, "canary": 1}


def test_a_server_that_does_not_know_the_model_is_not_asked_further(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "fetch", lambda *_: {})
    assert run(shelf, labels.promote).labels == {"stable": 3, "canary": 3}


@pytest.mark.parametrize("answer", [None, {}])
def test_a_server_that_was_named_must_know_the_model(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, answer: dict[int, VersionStatus] | None
) -> None:
    monkeypatch.setattr(status, "fetch", lambda *_: answer)
    with pytest.raises(UserError, match="Received: --server-url http://server"):
        run(shelf, labels.promote, must_answer=True)
    assert not Path(shelf.config_path).exists()


def test_who_is_not_asked_is_named(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(status, "fetch", lambda *_: None)
    apply.apply(shelf, labels.promote, SETTINGS, "http://server", said.append, Sleeps())
    assert said == ["no server answers at http://server: the labels are moved without asking"]


class Busy:
    """Answers with what is in the list, the last of it for ever."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)

    def __call__(self, *_: str) -> dict[int, VersionStatus] | None:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[return-value]


@pytest.mark.parametrize("later", [status.StatusUnavailable("it answers with HTTP status 503"), None, {}])
def test_no_label_moves_while_a_server_cannot_say(shelf: Shelf, monkeypatch: pytest.MonkeyPatch, later: object) -> None:
    monkeypatch.setattr(status, "fetch", Busy(status.StatusUnavailable("busy"), later))
    with pytest.raises(UserError, match=r"version 2 .*(503|answers no more|does not know).* after 2 s"):
        run(shelf, partial(labels.promote, version=2))
    assert not Path(shelf.config_path).exists()


def test_a_busy_server_is_waited_for(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = {2: VersionStatus(2, "AVAILABLE")}
    monkeypatch.setattr(
        status, "fetch", Busy(status.StatusUnavailable("busy"), None, status.StatusUnavailable("busy"), loaded)
    )
    assert run(shelf, partial(labels.promote, version=2)).labels["stable"] == 2


def test_a_version_that_is_pushed_meanwhile_is_waited_for_as_well(
    shelf: Shelf, push: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = {version: VersionStatus(version, "AVAILABLE") for version in (1, 2, 3)}
    asked: list[str] = []

    def states(url: str, _: str) -> dict[int, VersionStatus]:
        asked.append(url)
        if len(asked) == 2:
            push(4)
        return loaded if len(asked) < 4 else loaded | {4: VersionStatus(4, "END", error_message="no graph")}

    both = {"stable": 1, "canary": 1}
    model_config.update(shelf.config_path, "char_rnn", lambda _: ServedModel("char_rnn", shelf.base, All(), both))
    monkeypatch.setattr(status, "fetch", states)
    with pytest.raises(UserError, match="version 4 .*no graph"):
        run(shelf, labels.promote)
    assert model_config.read(shelf.config_path)[0].labels == both


def test_a_copy_is_not_labelled_in_the_place_of_its_original(shelf: Shelf, tmp_path: Path) -> None:
    entry = ServedModel("char_rnn", str(tmp_path), All(), {"stable": 1, "canary": 1})
    model_config.update(shelf.config_path, "char_rnn", lambda _: entry)
    with pytest.raises(UserError, match=f"serves the versions in {tmp_path}.*Received: versions in {shelf.base}"):
        run(shelf, labels.promote)
    assert model_config.read(shelf.config_path) == [entry]


def test_another_name_of_the_same_directory_is_no_copy(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "fetch", lambda *_: None)
    (tmp_path / "link").symlink_to(shelf.base)
    entry = ServedModel("char_rnn", str(tmp_path / "link"), All(), {"stable": 1, "canary": 1})
    model_config.update(shelf.config_path, "char_rnn", lambda _: entry)
    assert run(shelf, labels.promote).labels["stable"] == 3
