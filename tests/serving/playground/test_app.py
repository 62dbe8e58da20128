"""The files of the page are served, and none of them refers to another host."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.playground.app import PAGE, application
from tests.serving.playground.fake import Browser, Fake

FILES = sorted(PAGE.iterdir())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser(application("http://x", "m", transport=Fake({}).transport)) as opened:
        yield opened


def test_the_page_is_at_the_root(browser: Browser) -> None:
    answer = browser.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text == (PAGE / "index.html").read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_file_has_a_content_type_that_browsers_accept(browser: Browser, path: Path) -> None:
    types = {".html": "text/html", ".css": "text/css", ".js": "javascript", ".svg": "image/svg+xml"}
    answer = browser.get(f"/{path.name}")
    assert answer.content == path.read_bytes()
    assert types[path.suffix] in answer.headers["content-type"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_refers_to_another_host_or_violates_the_policy(path: Path) -> None:
    text = path.read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|//[a-z0-9.-]+\.[a-z]{2,}/", text)
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style|<script>|innerHTML|\beval\(", text)
    assert len(text.splitlines()) <= 300


@pytest.mark.parametrize("path", ["/../app.py", "/%2e%2e/app.py", "/..%2f__main__.py", "/.git", "/nothing.js"])
def test_no_other_file_is_served(browser: Browser, path: str) -> None:
    assert browser.get(path).status_code == 404
