"""The page in headless Chromium, in front of the embedded server with a small, untrained export.

Tests that need a browser are skipped without Chromium; `test_javascript.py` runs the modules of the page even then.
"""

import json
import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from components.models import versions
from tests.serving.playground import running
from tests.serving.playground.running import Served, Site

CHROMIUM = (
    os.environ.get("CHROMIUM")
    or shutil.which("chromium")
    or shutil.which("chromium-browser")
    or shutil.which("google-chrome")
)
LINK = "#prompt=the+%C3%A9%0A&temperature=0.9&top_k=12&length=150&seed=41&samples=2"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The small model on the embedded server, and a registry with its entry."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH: apt-get install chromium, or name its file in CHROMIUM")
    root = tmp_path_factory.mktemp("page")
    model = root / "models" / "small" / "7"
    running.write_model(model)
    (model / versions.CARD).write_text("# card of 7")
    config = root / "models.config"
    config.write_text(
        f'model_config_list {{ config {{ name: "small" base_path: "{model.parent}" model_platform: "tensorflow" '
        'version_labels { key: "stable" value: 7 } } }'
    )
    registry = root / "registry"
    registry.mkdir()
    entry = {"version": 7, "served": str(model), "perplexity": 5.125, "bits_per_character": 2.3575}
    entry |= {"corpus": "/texts/noise.txt", "pushed_at": "2026-01-02T03:04:05+00:00"}
    (registry / "7.json").write_text(json.dumps(entry))
    with running.embedded(config, "small") as (server, _):
        yield Served(server, config, registry)


@pytest.fixture(scope="module")
def site(served: Served) -> Iterator[Site]:
    """A browser and the page in front of that server; per module, because playwright keeps an event loop running."""
    with running.playground(served.url, "small", served.registry) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield Site(url, served, browser, [])
        browser.close()


@pytest.fixture
def page(site: Site) -> Iterator[Page]:
    opened, problems = site.open(LINK), []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    expect(opened.locator("#served strong")).to_be_visible(timeout=30_000)
    yield opened
    opened.context.close()
    assert not problems
