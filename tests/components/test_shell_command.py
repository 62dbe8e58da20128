"""Commands that a person can paste. That they work as processes is in tests/test_first_minute.py."""

import os
import shlex
import sys
from pathlib import Path

import pytest

from components import shell_command

ROOT = Path(shell_command.ROOT)


def test_in_the_root_a_package_is_a_module_and_a_file_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "executable", str(ROOT / ".venv" / "bin" / "python"))
    assert shell_command.of("serving", "up") == ".venv/bin/python -m serving up"
    assert shell_command.of("serving.playground") == ".venv/bin/python -m serving.playground"
    assert shell_command.of("local_runner.py") == ".venv/bin/python local_runner.py"


def test_elsewhere_they_are_named_by_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", "/some where/python")
    assert shlex.split(shell_command.of("serving", "up")) == ["/some where/python", str(ROOT / "serving"), "up"]
    assert shlex.split(shell_command.of("serving.playground"))[1:] == [str(ROOT / "serving" / "playground")]
    assert shlex.split(shell_command.of("local_runner.py"))[1:] == [str(ROOT / "local_runner.py")]


def test_beside_the_interpreter_it_is_not_looked_up_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert shell_command.of("serving").startswith("./python ")


def test_above_the_root_paths_are_relative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT.parent)
    assert shell_command.start("serving") == [f"{ROOT.name}/serving"]
    assert shell_command.start("local_runner.py") == [f"{ROOT.name}/local_runner.py"]


def test_a_link_to_the_root_is_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(ROOT)
    monkeypatch.chdir(tmp_path / "link")
    assert shell_command.start("serving") == ["-m", "serving"]


def test_the_python_of_a_virtual_environment_is_not_the_one_that_it_links_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python").symlink_to("/usr/bin/python3")
    monkeypatch.chdir(tmp_path)
    assert shell_command.shown(str(tmp_path / "python")) == "python"


def test_a_working_directory_that_is_gone_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert shell_command.start("serving") == [str(ROOT / "serving")]


@pytest.mark.parametrize("word", ["The ", "", "it's", "$HOME", 'say "so"', "a\nb", "--root"])
def test_arguments_survive_the_shell(word: str) -> None:
    assert shlex.split(shell_command.of("serving", "generate", word))[-1] == word
    assert os.path.isabs(shell_command.ROOT)
