"""The map of the design has every module and names none that is gone; every dependency has its reason there."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("components", "kubeflow", "pipeline", "serving", "trainer", "transform", "benchmarks")


def rows(heading: str) -> list[str]:
    """First cells of the table below a heading."""
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)


def places() -> Iterator[str]:
    """Files, and folders with a slash at their end; a name without a folder lies in that of the one before."""
    for row in rows("Layout"):
        folder = ""
        for name in re.findall("`([^`]+)`", row):
            parent, _, _ = name.rstrip("/").rpartition("/")
            if parent:
                folder = parent
            yield name if parent or not folder else f"{folder}/{name}"


def test_every_module_is_in_the_map() -> None:
    named = set(places())
    modules = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert len(modules) > 100
    whole = tuple(name for name in named if name.endswith("/"))
    assert {module for module in modules - named if not module.startswith(whole)} == set()


@pytest.mark.parametrize("place", sorted(places()))
def test_what_the_map_names_is_there(place: str) -> None:
    assert (ROOT / place).is_dir() if place.endswith("/") else (ROOT / place).is_file()


def test_every_dependency_has_its_reason() -> None:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"].values()
    groups = project["dependency-groups"].values()
    required = [one for some in (project["project"]["dependencies"], *extras, *groups) for one in some]
    names = {re.split(r"[^A-Za-z0-9._-]", one)[0] for one in required}
    assert "tensorflow" in names
    explained = set(re.findall(r"[A-Za-z0-9._-]+", " ".join(rows("Dependencies"))))
    assert names - explained == set()
