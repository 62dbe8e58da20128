"""The docstring of a package: three lines at most, which name what the package imports."""

import ast
import re
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]
TOP = ("components", "kubeflow", "pipeline", "serving", "trainer", "transform")
PACKAGES = {
    ".".join(file.parent.relative_to(ROOT).parts): file for name in TOP for file in (ROOT / name).rglob("__init__.py")
}


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph(*TOP, cache_dir=None)


def docstring(package: str) -> str:
    return ast.get_docstring(ast.parse(PACKAGES[package].read_text(encoding="utf-8"))) or ""


@pytest.mark.parametrize("package", PACKAGES)
def test_docstring_has_three_lines(package: str) -> None:
    assert 0 < len([line for line in docstring(package).splitlines() if line]) <= 3


@pytest.mark.parametrize("package", PACKAGES)
def test_docstring_names_what_the_package_imports(package: str, imports: grimp.ImportGraph) -> None:
    inside = {package, *imports.find_descendants(package)}
    outside = {name for module in inside for name in imports.find_modules_directly_imported_by(module)} - inside
    assert differences(docstring(package), outside) == ([], [])


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("Imports `a.b` and `c`.", ([], [])),
        ("Imports `a`, `b`\nand `c`. Starts `d`.", (["b"], [])),
        ("Imports `a` and `c.d`; starts `b`.", ([], [])),
        ("Imports `a.b.c`.", ([], ["c.d"])),
        ("Imports `a.b.c.d` and `c.dd`.", (["a.b.c.d", "c.dd"], ["a.b.c", "c.d"])),
        ("Imports nothing of the project.", ([], ["a.b.c", "c.d"])),
        ("Other text.", (["nothing is said"], ["a.b.c", "c.d"])),
    ],
)
def test_differences_between_docstring_and_imports(text: str, result: tuple[list[str], list[str]]) -> None:
    assert differences(f"One line.\n\n{text}", {"a.b.c", "c.d"}) == result


def differences(text: str, imported: set[str]) -> tuple[list[str], list[str]]:
    """Names that the sentence "Imports ..." has in vain, and imports that it lacks; a name covers what is below it."""
    sentence = re.search(r"\bImports (.+?)[.;](?:\s|$)", text, re.S)
    if not sentence:
        return ["nothing is said"], sorted(imported)
    named = re.findall(r"`([\w.]+)`", sentence[1])
    covered = {name: {one for one in imported if f"{one}.".startswith(f"{name}.")} for name in named}
    return [name for name in named if not covered[name]], sorted(imported.difference(*covered.values()))
