"""Prose in Markdown has one sentence a line, so that a diff shows the sentences that changed."""

import re
from collections.abc import Iterator

import pytest

from tests.docs.markdown import ROOT

PAGES = [*ROOT.glob("*.md"), *ROOT.glob(".github/*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/*/*.md")]
# A stop, then a word that can begin a sentence; an ellipsis ends no sentence.
_END = re.compile(r"(?<!\.\.)[.!?][)\"'*]*\s+(?=[(\"'*\[]*[^\W_a-z])")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|vs|etc|cf|St|Dr|Mr|Mrs|[A-Z])\.")
_ITEM = re.compile(r"^\s*(?:(?:[-*]|\d+\.)\s+|>\s*)+(?:\[.\]\s+)?")


@pytest.mark.parametrize("page", sorted({str(page.relative_to(ROOT)) for page in PAGES}))
def test_page_has_one_sentence_a_line(page: str) -> None:
    wrong = broken_lines((ROOT / page).read_text(encoding="utf-8"))
    assert [f"{page}:{number}: {found}" for number, found in wrong] == []


@pytest.mark.parametrize(
    "text",
    [
        "One. Two.",
        "- One. Two.",
        "1. One (in brackets.) Two.",
        "**One.** Two",
        "One `a.b`. `c` is two.",
        "One [link](a.md). [Two](b.md)",
        "See version 3. It is newer",
        "Is it? 5 are.",
        'The log: "one." "Two."',
        "> One! Two.",
        "one\ntwo.",
        "- one\n  two.",
    ],
)
def test_other_lines_are_found(text: str) -> None:
    assert len(list(broken_lines(f"Before.\n\n{text}\n"))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "One.\nTwo.",
        "- One.\n  Two.\n- Three",
        "Such as e.g. Python, i.e. 3.10 vs. Java, etc. and J. Doe.",
        "A `sentence. In code` and a [link. To](a. B.md).",
        "Items a, b, ... Z and char_rnn.js or .NET",
        "One: two; three\n\nfour",
        "# Heading\nOne.",
        "```\nOne. Two.\n```",
        "| One. Two. | x |",
        "<!-- One. Two. -->",
        "A list:\n- one\n- two",
        "![An image. Of two](a.png)",
    ],
)
def test_one_sentence_a_line_is_accepted(text: str) -> None:
    assert list(broken_lines(text)) == []


def broken_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines outside of code, tables and headings with a second sentence, or with a part of one only."""
    in_code = False
    before = ""
    for number, line in enumerate(text.splitlines(), 1):
        fence = line.lstrip().startswith("```")
        in_code ^= fence
        if in_code or fence or re.match(r"\s*(?:$|[|#]|<!--)", line):
            before = ""
            continue
        # Code and the text of a link can be a name, and begin a sentence.
        plain = re.sub(r"`[^`]+`|!?\[[^]]*\]\([^)]*\)", "Nn", line)
        plain = _ABBREVIATION.sub("N", _ITEM.sub("", plain, count=1))
        if _END.search(plain):
            yield number, f"more than one sentence: {line.strip()}"
        if before and not _ITEM.match(line) and not re.search(r"[.!?:][)\"'*]*$", before):
            yield number, f"continues the line before: {line.strip()}"
        before = plain
