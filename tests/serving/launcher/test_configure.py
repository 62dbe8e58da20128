"""Files written before a server starts: entries of moved directories, and nothing in read-only directories."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from components import files
from components.errors import UserError
from pipeline.config.run import Config
from pipeline.config.serving import ServingSettings
from serving.client.status import VersionStatus
from serving.launcher import configure
from serving.rollout.inventory import ModelPaths
from serving.tf_serving import flags, model_config
from serving.tf_serving.model_config import All, ServedModel, Specific


@pytest.fixture
def paths(root: Path, push: Callable[..., Path]) -> ModelPaths:
    for version in (1, 2):
        push(version)
    return ModelPaths.of(Config(root=str(root)))


def test_second_call_changes_nothing(paths: ModelPaths) -> None:
    notes: list[str] = []
    assert configure.write_entry(paths, notes.append)
    assert model_config.read(paths.config_path) == [
        ServedModel("char_rnn", paths.base, All(), {"stable": 2, "canary": 2})
    ]
    assert not configure.write_entry(paths, notes.append)
    assert notes == []


def test_copy_is_served_from_its_own_directory(paths: ModelPaths, tmp_path: Path) -> None:
    notes: list[str] = []
    configure.write_entry(paths, notes.append)
    shutil.copytree(paths.root, tmp_path / "copy")
    copy = ModelPaths.of(Config(root=str(tmp_path / "copy")))
    configure.write_entry(copy, notes.append)
    assert [model.base_path for model in model_config.read(copy.config_path)] == [copy.base]
    assert [model.base_path for model in model_config.read(paths.config_path)] == [paths.base]
    assert notes == [f"base_path in {copy.config_path} is now {copy.base}: {paths.base} is another directory"]


def test_link_to_the_same_directory_stays(paths: ModelPaths, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(paths.base)
    entry = ServedModel("char_rnn", str(tmp_path / "link"), All(), {"stable": 1})
    model_config.update(paths.config_path, "char_rnn", lambda _: entry)
    configure.write_entry(paths, pytest.fail)
    assert model_config.read(paths.config_path) == [entry]


def forbid_writing(paths: ModelPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise the errors of a read-only file system, which only a mount could make."""
    write = files.write

    def reject(path: str, text: str, mode: int) -> None:
        if os.path.dirname(path) == paths.serving_dir:
            raise OSError(30, "Read-only file system")
        write(path, text, mode)

    def no_lock(path: str) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(files, "write", reject)
    monkeypatch.setattr(model_config, "_locked", no_lock)


def test_read_only_directory_with_an_entry_is_served(paths: ModelPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    configure.write_entry(paths, pytest.fail)
    forbid_writing(paths, monkeypatch)
    assert not configure.write_entry(paths, pytest.fail)
    directory = configure.write_flag_files(ServingSettings(), paths)
    assert directory == f"{paths.root}/serving_flags"
    assert sorted(os.listdir(directory)) == sorted(flags.flag_files(ServingSettings()))


def test_unchanged_flag_files_are_not_written(paths: ModelPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    assert configure.write_flag_files(ServingSettings(), paths) == paths.serving_dir
    forbid_writing(paths, monkeypatch)
    assert configure.write_flag_files(ServingSettings(), paths) == paths.serving_dir


def test_read_only_directory_without_an_entry_is_a_user_error(
    paths: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_writing(paths, monkeypatch)
    with pytest.raises(UserError, match=r"Read-only file system.*Received: .*models\.config"):
        configure.write_entry(paths, pytest.fail)


def test_labels_move_from_versions_that_failed_to_load(paths: ModelPaths) -> None:
    notes: list[str] = []
    configure.write_entry(paths, notes.append)
    states = {2: VersionStatus(2, "END", error_message="no graph"), 1: VersionStatus(1, "AVAILABLE")}
    configure.label_loaded(paths, states, notes.append)
    assert model_config.read(paths.config_path)[0].labels == {"stable": 1, "canary": 1}
    assert notes == ["the labels are on version 1, the newest that could be loaded"]


def test_labels_that_another_process_moved_stay(paths: ModelPaths) -> None:
    entry = ServedModel("char_rnn", paths.base, Specific((1,)), {"stable": 1})
    model_config.update(paths.config_path, "char_rnn", lambda _: entry)
    states = {2: VersionStatus(2, "END", error_message="no graph"), 1: VersionStatus(1, "AVAILABLE")}
    configure.label_loaded(paths, states, pytest.fail)
    assert model_config.read(paths.config_path) == [entry]


def test_no_label_moves_to_a_version_that_was_withdrawn_meanwhile(paths: ModelPaths) -> None:
    entry = ServedModel("char_rnn", paths.base, Specific((2,)), {"stable": 2})
    model_config.update(paths.config_path, "char_rnn", lambda _: entry)
    states = {2: VersionStatus(2, "END", error_message="no graph"), 1: VersionStatus(1, "AVAILABLE")}
    configure.label_loaded(paths, states, pytest.fail)
    assert model_config.read(paths.config_path) == [entry]
