"""Commands that a user can paste. tests/test_first_minute.py runs them."""

import os
import shlex
import sys
from pathlib import Path

import pytest

from components import shell_command

ROOT = Path(shell_command.ROOT)


def test_package_in_the_root_is_started_as_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "executable", str(ROOT / ".venv" / "bin" / "python"))
    assert shell_command.of("serving", "up") == ".venv/bin/python -m serving up"
    assert shell_command.of("serving.playground") == ".venv/bin/python -m serving.playground"
    assert shell_command.of("local_runner.py") == ".venv/bin/python local_runner.py"


def test_program_is_started_by_its_path_from_another_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", "/some where/python")
    assert shlex.split(shell_command.of("serving", "up")) == ["/some where/python", str(ROOT / "serving"), "up"]
    assert shlex.split(shell_command.of("serving.playground"))[1:] == [str(ROOT / "serving" / "playground")]
    assert shlex.split(shell_command.of("local_runner.py"))[1:] == [str(ROOT / "local_runner.py")]


def test_interpreter_in_the_working_directory_is_not_searched_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert shell_command.of("serving").startswith("./python ")


def test_paths_are_relative_above_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT.parent)
    assert shell_command.interpreter_arguments("serving") == [f"{ROOT.name}/serving"]
    assert shell_command.interpreter_arguments("local_runner.py") == [f"{ROOT.name}/local_runner.py"]


def test_link_to_the_root_is_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(ROOT)
    monkeypatch.chdir(tmp_path / "link")
    assert shell_command.interpreter_arguments("serving") == ["-m", "serving"]


def test_python_of_a_virtual_environment_is_not_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python").symlink_to("/usr/bin/python3")
    monkeypatch.chdir(tmp_path)
    assert shell_command.display_path(str(tmp_path / "python")) == "python"


def test_deleted_working_directory_is_handled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert shell_command.interpreter_arguments("serving") == [str(ROOT / "serving")]


@pytest.mark.parametrize("word", ["The ", "", "it's", "$HOME", 'say "so"', "a\nb", "--root"])
def test_arguments_survive_the_shell(word: str) -> None:
    assert shlex.split(shell_command.of("serving", "generate", word))[-1] == word
    assert os.path.isabs(shell_command.ROOT)
