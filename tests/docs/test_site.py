"""The documentation is a site without broken links, built without the network."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT

pytestmark = pytest.mark.integration
NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of `mkdocs build --strict`."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **NO_NETWORK}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_in_the_site(site: Path) -> None:
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"}
    assert pages <= {path.name for path in site.iterdir()}


def test_the_home_page_shows_the_pipeline_of_the_readme(site: Path) -> None:
    home = (site / "index.html").read_text(encoding="utf-8")
    assert '<pre class="mermaid">' in home
    assert "CorpusExampleGen" in home


def test_no_page_loads_from_another_host(site: Path) -> None:
    """Except mermaid, which the theme's own script adds to pages with a diagram."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe)[^>]+src=\"?([^\" >]+)", text)
        loaded += re.findall(r"<link[^>]+rel=\"?(?:stylesheet|preconnect)\"?[^>]*href=\"?([^\" >]+)", text)
        assert loaded
        assert [url for url in loaded if "://" in url] == []
