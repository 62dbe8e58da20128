"""The README is short, and its links and those of the presets page are complete."""

import re

from pipeline.config import overrides
from tests.docs.markdown import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_has_at_most_150_lines() -> None:
    assert len(README.splitlines()) <= 150


def test_readme_links_lead_to_files() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link]
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_readme_links_to_every_page() -> None:
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} - {"docs/index.md", "docs/glossary.md"}
    assert pages <= set(re.findall(r"\]\(([^)#]+)", README))


def test_every_preset_is_explained() -> None:
    text = (ROOT / "docs" / "presets.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+)` \|", text, re.M)) == overrides.preset_names()
