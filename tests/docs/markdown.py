"""Code blocks and commands of the documentation.

A block of commands is fenced as `bash`. A comment above it, `<!-- needs: cluster, docker -->`, lists what its commands
need and a test does not have. `test_commands_run.py` runs all other commands. Output of a program is fenced as `text`.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NEEDS = {
    "cluster": "a Kubernetes cluster or a cloud project",
    "docker": "a Docker daemon",
    "gpu": "an NVIDIA GPU",
    "minutes": "minutes; another test runs the same program",
    "network": "the network",
    "server": "a server on another machine",
}
LANGUAGES = {"bash", "json", "mermaid", "python", "text"}
_BLOCK = re.compile(r"^(?:<!-- needs: (?P<needs>[a-z, ]+) -->\n)?```(?P<language>\S*)\n(?P<text>.*?)^```$", re.M | re.S)
_HERE_DOCUMENT = re.compile(r"<<'(\w+)'\n(.*?)^\1$", re.M | re.S)
_OPERATORS = {"&&", "|", "&", ";"}


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
      needs: keys of `NEEDS`.
    """

    page: str
    language: str
    text: str
    needs: frozenset[str] = frozenset()

    def commands(self) -> list["Command"]:
        """Its commands, in order."""
        text = _HERE_DOCUMENT.sub("", self.text).replace("\\\n", " ")
        return [command for line in text.splitlines() for command in _split(self.page, line, self.needs)]

    def here_documents(self) -> list[str]:
        """The texts that its commands read."""
        return [found[2] for found in _HERE_DOCUMENT.finditer(self.text)]


@dataclass(frozen=True)
class Command:
    """The words of one command, without `uv run` and its options."""

    page: str
    words: tuple[str, ...]
    needs: frozenset[str] = frozenset()

    @property
    def program(self) -> str:
        """`local_runner.py`, `serving`, `benchmarks/quality.py`, `curl`, ..."""
        if self.words[0] == "python" and len(self.words) > 1:
            return self.words[2] if self.words[1] == "-m" and len(self.words) > 2 else self.words[1]
        return self.words[0]

    @property
    def arguments(self) -> list[str]:
        """The words after the program."""
        return list(self.words[self.words.index(self.program) + 1 :])

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def blocks() -> list[Block]:
    """All fenced blocks."""
    return [
        Block(
            str(page.relative_to(ROOT)),
            found["language"],
            found["text"],
            frozenset(re.split(r",\s*", found["needs"] or "")) - {""},
        )
        for page in PAGES
        for found in _BLOCK.finditer(page.read_text(encoding="utf-8"))
    ]


def commands() -> list[Command]:
    """All commands in blocks."""
    return [command for block in blocks() if block.language == "bash" for command in block.commands()]


def inline() -> Iterator[Command]:
    """Commands and options that a sentence or a table names in code."""
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
        for found in re.findall(r"`([^`\n]+)`", text):
            if found.startswith(("python ", "--")):
                yield from _split(str(page.relative_to(ROOT)), found, frozenset())


def _split(page: str, line: str, needs: frozenset[str]) -> Iterator[Command]:
    """The commands of one line of a shell."""
    words: list[str] = []
    for word in [*shlex.split(line, comments=True), ";"]:
        if word not in _OPERATORS:
            words.append(word)
            continue
        if words[:2] == [".tools/bin/uv", "run"]:
            words = words[_options(words) :]
        if words and words[0] == ".venv/bin/python":
            words[0] = "python"
        if words:
            yield Command(page, tuple(words), needs)
        words = []


def _options(words: list[str]) -> int:
    """How many words are `uv run` and its options, all of which take a value."""
    count = 2
    while count < len(words) and words[count].startswith("--"):
        count += 2
    return count
