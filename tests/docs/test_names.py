"""Files and functions that the documentation names exist."""

import ast
import re

import pytest

from tests.docs.markdown import PAGES, ROOT

PACKAGES = (
    "benchmarks",
    "components",
    "docs",
    "kubeflow",
    "pipeline",
    "scripts",
    "serving",
    "tests",
    "trainer",
    "transform",
)
TEXTS = {page.name: page.read_text(encoding="utf-8") for page in PAGES}


@pytest.mark.parametrize("page", TEXTS)
def test_named_file_or_folder_exists(page: str) -> None:
    names = re.findall(rf"`((?:{'|'.join(PACKAGES)})/[\w/]*(?:\.\w+)?)`", TEXTS[page])
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_functions_in_the_table_of_gaps_exist() -> None:
    table = TEXTS["design.md"].partition("\n| gap ")[2].partition("\n\n")[0]
    named = re.findall(r"`(\w+)\.(\w+)`", table)
    assert len(named) > 5
    for module, name in named:
        (file,) = (ROOT / "kubeflow").rglob(f"{module}.py")
        assert re.search(rf"^(def|class) {name}\b", file.read_text(encoding="utf-8"), re.M), f"{module}.{name}"


def _walks() -> list[list[tuple[str, str]]]:
    """Return the tables of "The walk" as (file, function) pairs; a row may name several functions of one file."""
    section = TEXTS["design.md"].partition("## The walk")[2].partition("## Decisions")[0]
    tables = section.split("| function | does |")[1:]
    steps = []
    for table in tables:
        rows = re.findall(r"^\| `([\w/]+\.py): (\S+)`(.*?) \|", table, re.M)
        steps.append([(file, name) for file, first, more in rows for name in [first, *re.findall(r"`(\S+?)`", more)]])
    return steps


@pytest.mark.parametrize(("file", "name"), [step for walk in _walks() for step in walk])
def test_a_function_of_the_walk_exists(file: str, name: str) -> None:
    names = set()
    for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{part.name}"
                for part in node.body
                if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef))
            }
    assert name in names


def test_a_walk_enters_a_module_once() -> None:
    walks = _walks()
    assert len(walks) == 3
    for walk in walks:
        files = [file for file, _ in walk]
        visits = [file for index, file in enumerate(files) if index == 0 or files[index - 1] != file]
        assert len(visits) > 8
        assert len(visits) == len(set(visits))
