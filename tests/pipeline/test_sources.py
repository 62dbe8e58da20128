"""A digest changes with what the code does and with nothing else."""

from pathlib import Path

import pytest

from pipeline import sources

CODE = '''"""Module."""
import os

LIMIT = 3  # entries


class Reader:
    """Reads."""

    def read(self, path: str) -> list[str]:
        """Read names.

        Args:
          path: where.
        """
        return sorted(os.listdir(path))[:LIMIT]
'''
ALL = {name: value for name, value in vars(sources).items() if name.isupper() and isinstance(value, tuple)}


@pytest.fixture(autouse=True)
def _own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "ROOT", tmp_path)


def digest(root: Path, code: str, name: str = "code.py") -> str:
    (root / name).write_text(code, encoding="utf-8")
    sources._meaning.cache_clear()
    return sources.digest([name])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# entries", "# names, at most"),
        ("  # entries", ""),
        ('"""Module."""', '"""What this module does."""'),
        ('"""Module."""\n', ""),
        ('"""Reads."""', '"""Reads a directory."""'),
        ('    """Reads."""\n', ""),
        ("path: where.", "path: of the directory."),
        ("\n\n\nclass", "\n\n# A class.\nclass"),
        ("import os", "import  os;"),
        ("sorted(os.listdir(path))[:LIMIT]", "sorted(\n            os.listdir(path),\n        )[:LIMIT]"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(tmp_path: Path, before: str, after: str) -> None:
    edited = CODE.replace(before, after)
    assert edited != CODE
    assert digest(tmp_path, edited) == digest(tmp_path, CODE)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("sorted(os.listdir(path))", "os.listdir(path)"),
        ("[:LIMIT]", "[LIMIT:]"),
        ("class Reader", "class Writer"),
        ("import os", "import os, sys"),
        ("return sorted", "'a string that is not a docstring'\n        return sorted"),
    ],
)
def test_code_counts(tmp_path: Path, before: str, after: str) -> None:
    edited = CODE.replace(before, after)
    assert edited != CODE
    assert digest(tmp_path, edited) != digest(tmp_path, CODE)


def test_a_function_of_a_docstring_only_is_an_empty_function(tmp_path: Path) -> None:
    assert digest(tmp_path, 'def f():\n    """Nothing."""\n') == digest(tmp_path, "def f():\n    pass\n")


def test_a_folder_counts_with_all_its_python_files_and_their_names(tmp_path: Path) -> None:
    (tmp_path / "package" / "inner").mkdir(parents=True)
    seen = {sources.digest(["package"])}
    for name in ("package/one.py", "package/two.py", "package/inner/three.py"):
        digest(tmp_path, CODE, name)
        seen.add(sources.digest(["package"]))
    (tmp_path / "package" / "two.py").rename(tmp_path / "package" / "renamed.py")
    seen.add(sources.digest(["package"]))
    assert len(seen) == 5
    (tmp_path / "package" / "notes.txt").write_text("no code")
    assert sources.digest(["package"]) in seen


def test_a_digest_is_the_same_wherever_the_project_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = digest(tmp_path, CODE)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(sources, "ROOT", elsewhere)
    assert digest(elsewhere, CODE) == here


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_place_of_the_project_that_is_named_exists(name: str) -> None:
    project = Path(sources.__file__).parent.parent
    assert [place for place in ALL[name] if not (project / place).exists()] == []
