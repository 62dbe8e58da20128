"""The messages that the README explains are those of the sources, word for word."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("components", "pipeline", "trainer", "transform")


def explained() -> list[str]:
    """Messages in the first column of the table; `...` stands for what differs from case to case."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## When something goes wrong")[2]
    rows = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
    return [message for row in rows for message in re.findall("`([^`]+)`", row)]


def texts() -> Iterator[str]:
    """Every text in the sources, with `...` for each value that is put in."""
    for file in [ROOT / "local_runner.py", *(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "..." for part in node.values)
                yield "".join(map(str, parts))


def test_the_table_is_found() -> None:
    assert len(explained()) > 10
    assert "The disk is full" in explained()


@pytest.mark.parametrize("message", explained())
def test_an_explained_message_is_one_of_ours(message: str) -> None:
    assert any(message in text for text in texts())
