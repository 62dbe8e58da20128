"""`scripts/check_words` on texts with words of the glossary."""

import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def check_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module that searches a directory with this glossary and nothing else."""
    loader = importlib.machinery.SourceFileLoader("check_words", str(ROOT / "scripts" / "check_words"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_words", loader))
    monkeypatch.setitem(sys.modules, "check_words", module)
    loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "glossary.md").write_text(
        "# Glossary\n\n## Checked\n\n| not | but |\n|---|---|\n"
        "| quoth, hark* | report |\n| by and by | later |\n| keep * from | prevent |\n| `Foo(`, `_BAR`, `so.` | Baz |\n"
        "\n## Unchecked\n\n| not | but |\n|---|---|\n| thing | noun |\n"
    )
    return module


@pytest.fixture
def found(check_words: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], list[str]]:
    def run(text: str) -> list[str]:
        (tmp_path / "text.py").write_text(text)
        code = check_words.main([])
        lines = capsys.readouterr().out.splitlines()
        assert code == bool(lines)
        return lines

    return run


@pytest.mark.parametrize(
    ("text", "use"),
    [
        ("Quoth", "quoth"),
        ("is_quoth_here = 1", "quoth"),
        ("harkening", "harkening"),
        ("# by\n# and by", "by # and by"),
        ("keep it from", "keep it from"),
        ("x = Foo(1)", "Foo("),
        ("x = A_BAR", "_BAR"),
        ("so.", "so."),
    ],
)
def test_word_of_the_glossary_is_found(text: str, use: str, found: Callable[[str], list[str]]) -> None:
    (line,) = found(f"\n{text}\n")
    assert line.startswith(f"text.py:2: {use!r}: better ")


@pytest.mark.parametrize(
    "text", ["quothe", "misquoth", "by and bye", "keep from", "foo(", "aFoo(", "_BARS", "also.", "thing"]
)
def test_other_words_are_allowed(text: str, found: Callable[[str], list[str]]) -> None:
    assert found(text) == []


def test_quoted_output_may_have_any_word(
    check_words: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.md").write_text("```text\nhark\n```\n\n```bash\nquoth\n```\n")
    assert check_words.main([]) == 1
    assert capsys.readouterr().out.splitlines() == ["page.md:6: 'quoth': better report"]


def test_replacement_is_reported(found: Callable[[str], list[str]]) -> None:
    assert found("hark") == ["text.py:1: 'hark': better report"]


def test_generated_and_hidden_folders_are_not_searched(check_words: ModuleType, tmp_path: Path) -> None:
    for folder in (".venv", "output", "__pycache__"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "text.md").write_text("quoth")
    assert check_words.main([]) == 0
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github" / "text.md").write_text("quoth")
    assert check_words.main([]) == 1


def test_named_files_only_are_searched(check_words: ModuleType, tmp_path: Path) -> None:
    for name, text in (("one.py", "quoth"), ("two.py", ""), ("uv.lock", "quoth")):
        (tmp_path / name).write_text(text)
    assert check_words.main([str(tmp_path / "two.py")]) == 0
    assert check_words.main([str(tmp_path / "one.py")]) == 1
    assert check_words.main([str(tmp_path / "uv.lock")]) == 0, "no source of ours"


def test_glossary_of_this_project_has_words(check_words: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_words, "ROOT", ROOT)
    words = check_words.glossary()
    assert len(words) > 100
    assert all(word.better for word in words)
