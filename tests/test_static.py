"""Lint, format, types, words, and module sizes; CI runs the test command of the README."""

import ast
import itertools
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.files import own_texts

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.integration
@pytest.mark.parametrize(
    "command",
    [["-m", "ruff", "check", "."], ["-m", "ruff", "format", "--check", "."], ["-m", "mypy"], ["scripts/check_words"]],
    ids=["lint", "format", "types", "words"],
)
def test_sources_are_clean(command: list[str]) -> None:
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ci_runs_the_readme_test_command() -> None:
    command = (ROOT / ".ci" / "run").read_text().strip().splitlines()[-1]
    assert f"\n{command}\n" in (ROOT / "README.md").read_text()


MODULES = [
    path
    for package in ("components", "kubeflow", "pipeline", "serving", "trainer", "transform")
    for path in (ROOT / package).rglob("*.py")
]


@pytest.mark.integration
def test_files_are_short() -> None:
    lengths = {name: text.count("\n") for name, text in own_texts().items() if not name.endswith((".md", ".ipynb"))}
    long = {name: length for name, length in lengths.items() if length > 250}
    assert {name: length for name, length in long.items() if not name.startswith(("tests/", "benchmarks/"))} == {}


@pytest.mark.integration
def test_lines_are_short() -> None:
    code = ((name, text) for name, text in own_texts().items() if not name.endswith((".md", ".ipynb")))
    lines = ((f"{name}:{number}", line) for name, text in code for number, line in enumerate(text.splitlines(), 1))
    assert [place for place, line in lines if len(line) > 120] == []


def test_folders_are_small() -> None:
    modules = Counter(str(path.parent.relative_to(ROOT)) for path in MODULES if path.name != "__init__.py")
    assert {folder: count for folder, count in modules.items() if count > 12} == {}


def test_docstrings_document_what_exists() -> None:
    """A renamed field or argument must be renamed in its documentation, too."""
    wrong = {str(path.relative_to(ROOT)): found for path in MODULES if (found := unknown_names(path.read_text()))}
    assert wrong == {}


@pytest.mark.parametrize("documented", ["chars", "chars, seed", "_chars"])
@pytest.mark.parametrize(
    "code",
    [
        "class Text:\n    {doc}\n    characters: int\n    seed: int",
        "class Text:\n    {doc}\n    def __init__(self, characters):\n        self.characters = self.seed = characters",
        "def text(characters, *, seed=0):\n    {doc}",
    ],
)
def test_unknown_names_in_docstrings_are_found(code: str, documented: str) -> None:
    section = "Args" if code.startswith("def") else "Attributes"
    for names in (documented, "characters"):
        doc = f'"""One line.\n\n    {section}:\n      {names}: what it is.\n        More: text.\n    """'
        unknown = {name for name in names.split(", ") if name not in ("characters", "seed")}
        assert {name for _, name in unknown_names(code.format(doc=doc))} == unknown


def unknown_names(source: str) -> list[tuple[str, str]]:
    """Return the names under `Attributes:` and `Args:` that a class or function does not have, with its name."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            found += [(node.name, name) for name in documented_names(node, "Attributes") - attributes(node)]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            known = {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)}
            found += [(node.name, name) for name in documented_names(node, "Args") - known]
    return found


def attributes(node: ast.ClassDef) -> set[str]:
    """Names that a class and its methods assign, and its properties."""
    return {
        *(one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)),
        *(one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store)),
        *(one.name for one in node.body if isinstance(one, ast.FunctionDef)),
    }


def documented_names(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, section: str) -> set[str]:
    """Names of the entries of a section, which are indented by two spaces."""
    _, _, text = (ast.get_docstring(node) or "").partition(f"\n{section}:\n")
    lines = itertools.takewhile(lambda line: not line or line.startswith(" "), text.splitlines())
    entries = (re.match(r"  ([*\w]+(?:, [*\w]+)*):", line) for line in lines)
    return {name.strip("*") for entry in entries if entry for name in entry[1].split(", ")}
