"""Files and functions that the documentation names exist."""

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
def test_a_named_file_or_folder_exists(page: str) -> None:
    names = re.findall(rf"`((?:{'|'.join(PACKAGES)})/[\w/]*(?:\.\w+)?)`", TEXTS[page])
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_functions_in_the_table_of_gaps_exist() -> None:
    table = TEXTS["design.md"].partition("\n| gap ")[2].partition("\n\n")[0]
    named = re.findall(r"`(\w+)\.(\w+)`", table)
    assert len(named) > 5
    for module, name in named:
        (file,) = (ROOT / "kubeflow").rglob(f"{module}.py")
        assert re.search(rf"^(def|class) {name}\b", file.read_text(encoding="utf-8"), re.M), f"{module}.{name}"
