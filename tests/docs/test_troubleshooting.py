"""The messages that docs/troubleshooting.md explains are those of the sources, word for word."""

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.docs.markdown import ROOT

PACKAGES = ("components", "kubeflow", "pipeline", "serving", "trainer", "transform")
OTHERS = "Messages of Kubernetes, Python and Vertex AI:"


def explained() -> list[str]:
    """Messages in the first columns of the tables; `...` stands for a value."""
    ours = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8").partition(OTHERS)[0]
    cells = re.findall(r"^\| ([^|]+) \|", ours, re.MULTILINE)
    messages = [message for cell in cells for _, message in re.findall(r"(`+)(.*?)\1", cell)]
    return [message for message in messages if not message.endswith("XDG_CACHE_HOME")]


@cache
def texts() -> list[str]:
    """Every text in the sources, with `...` for each value that it contains."""
    files = [ROOT / "local_runner.py", *(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))]
    return [text for file in files for text in _texts(ast.parse(file.read_text(encoding="utf-8")))]


def _texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "..." for part in node.values)
            yield "".join(map(str, parts))


def test_the_tables_are_found() -> None:
    assert len(explained()) > 25
    assert {"The disk is full", "The package kfp is needed for this"} < set(explained())


@pytest.mark.parametrize("message", explained())
def test_explained_message_is_in_the_sources(message: str) -> None:
    start = message.removeprefix("error: ").removesuffix(" ...")
    assert any(start in text for text in texts())
