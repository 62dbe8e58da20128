"""What is written before a server starts: entries of directories that moved, and nothing where nothing can be."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from components.errors import UserError
from pipeline.config.run import Config
from pipeline.config.serving import ServingSettings
from serving.client.status import VersionStatus
from serving.launcher import configure
from serving.rollout.inventory import Shelf
from serving.tf_serving import flags, model_config
from serving.tf_serving.model_config import All, ServedModel, Specific


@pytest.fixture
def shelf(root: Path, push: Callable[..., Path]) -> Shelf:
    for version in (1, 2):
        push(version)
    return Shelf.of(Config(root=str(root)))


def test_a_first_entry_is_new_and_the_next_look_changes_nothing(shelf: Shelf) -> None:
    notes: list[str] = []
    assert configure.write_entry(shelf, notes.append)
    assert model_config.read(shelf.config_path) == [
        ServedModel("char_rnn", shelf.base, All(), {"stable": 2, "canary": 2})
    ]
    assert not configure.write_entry(shelf, notes.append)
    assert notes == []


def test_a_copy_is_served_from_where_it_is(shelf: Shelf, tmp_path: Path) -> None:
    notes: list[str] = []
    configure.write_entry(shelf, notes.append)
    shutil.copytree(shelf.root, tmp_path / "copy")
    copy = Shelf.of(Config(root=str(tmp_path / "copy")))
    configure.write_entry(copy, notes.append)
    assert [model.base_path for model in model_config.read(copy.config_path)] == [copy.base]
    assert [model.base_path for model in model_config.read(shelf.config_path)] == [shelf.base]
    assert notes == [f"{copy.config_path} said {shelf.base}, another directory: now {copy.base}"]


def test_another_name_of_the_same_directory_stays(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(shelf.base)
    entry = ServedModel("char_rnn", str(tmp_path / "link"), All(), {"stable": 1})
    model_config.update(shelf.config_path, "char_rnn", lambda _: entry)
    configure.write_entry(shelf, pytest.fail)
    assert model_config.read(shelf.config_path) == [entry]


def forbid_writing(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a read-only file system answers; it is not really one, for that takes a mount."""
    write_whole = model_config.write_whole

    def refuse(path: str, text: str) -> None:
        if os.path.dirname(path) == shelf.serving_dir:
            raise OSError(30, "Read-only file system")
        write_whole(path, text)

    def no_lock(path: str) -> None:
        raise OSError(30, "Read-only file system")

    for module in (model_config, flags):
        monkeypatch.setattr(module, "write_whole", refuse)
    monkeypatch.setattr(model_config, "_locked", no_lock)


def test_a_read_only_directory_with_a_complete_entry_is_served(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    configure.write_entry(shelf, pytest.fail)
    forbid_writing(shelf, monkeypatch)
    assert not configure.write_entry(shelf, pytest.fail)
    place = configure.write_flag_files(ServingSettings(), shelf)
    assert place == f"{shelf.root}/serving_flags"
    assert sorted(os.listdir(place)) == sorted(flags.files(ServingSettings()))


def test_flag_files_that_are_right_are_used_where_they_are(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    assert configure.write_flag_files(ServingSettings(), shelf) == shelf.serving_dir
    forbid_writing(shelf, monkeypatch)
    assert configure.write_flag_files(ServingSettings(), shelf) == shelf.serving_dir


def test_a_read_only_directory_without_an_entry_is_one_paragraph(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_writing(shelf, monkeypatch)
    with pytest.raises(UserError, match=r"Read-only file system.*Received: .*models\.config"):
        configure.write_entry(shelf, pytest.fail)


def test_labels_leave_what_could_not_be_loaded(shelf: Shelf) -> None:
    notes: list[str] = []
    configure.write_entry(shelf, notes.append)
    states = {2: VersionStatus(2, "END", error_message="no graph"), 1: VersionStatus(1, "AVAILABLE")}
    configure.label_loaded(shelf, states, notes.append)
    assert model_config.read(shelf.config_path)[0].labels == {"stable": 1, "canary": 1}
    assert notes == ["the labels are on version 1, the newest that could be loaded"]


def test_labels_that_others_moved_meanwhile_stay(shelf: Shelf) -> None:
    entry = ServedModel("char_rnn", shelf.base, Specific((1,)), {"stable": 1})
    model_config.update(shelf.config_path, "char_rnn", lambda _: entry)
    states = {2: VersionStatus(2, "END", error_message="no graph"), 1: VersionStatus(1, "AVAILABLE")}
    configure.label_loaded(shelf, states, pytest.fail)
    assert model_config.read(shelf.config_path) == [entry]
