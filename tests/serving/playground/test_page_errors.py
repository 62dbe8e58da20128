"""Errors are shown as readable messages, and the generated text stays on the page."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.serving.playground import running
from tests.serving.playground.running import Served, Site

pytestmark = pytest.mark.integration

LINK = "#prompt=the+&length=50000&seed=1&samples=4"
SECONDS = 30_000


def error_text(page: Page) -> str:
    expect(page.locator("#error")).to_be_visible(timeout=SECONDS)
    text = page.locator("#error").inner_text()
    assert not re.search(r"Traceback|\bat \w+ \(|undefined|\[object|TypeError|NaN|\{\{", text)
    assert page.locator("#stop").is_disabled()
    return text


@pytest.mark.parametrize(
    ("control", "value", "words"),
    [
        (
            "temperature",
            "700",
            "Rejected by the model server: temperature must be from 0 to 50. Received: 700.",
        ),
        (
            "top_k",
            "-3",
            "Rejected by the model server: top_k must be 0 (all characters) or more. Received: -3.",
        ),
        ("temperature", "", "Temperature must be a number. Received: nothing."),
        ("length", "50001", "Length must be a whole number from 1 to 50000. Received: 50001."),
        ("seed", "seven", f"Seed must be a whole number from {-(2**53) + 1} to {2**53 - 1}. Received: seven."),
    ],
)
def test_a_wrong_value_is_named_and_its_control_focused(site: Site, control: str, value: str, words: str) -> None:
    page = site.open("#prompt=the+&length=30&seed=1")
    expect(page.locator("#served strong")).to_be_visible(timeout=SECONDS)
    page.locator("#generate").click()
    expect(page.locator("#status")).to_contain_text("30 characters", timeout=SECONDS)
    before = page.locator(".text").text_content()
    page.locator(f"#{control}").fill(value)
    page.keyboard.press("Control+Enter")
    assert error_text(page) == words
    wrong = page.locator("[aria-invalid]")
    assert wrong.get_attribute("id") == control
    assert wrong.get_attribute("aria-errormessage") == "error"
    assert wrong.evaluate("element => element === document.activeElement")
    assert page.locator(".text").text_content() == before
    page.locator(f"#{control}").fill({"length": "30"}.get(control, "1"))
    page.keyboard.press("Control+Enter")
    expect(page.locator("#error")).to_be_hidden()
    expect(page.locator("[aria-invalid]")).to_have_count(0)
    page.context.close()


def test_a_server_that_does_not_run(site: Site) -> None:
    with running.playground("http://127.0.0.1:9", "small") as url:
        page = site.open(LINK, url)
        expect(page.locator("#served")).to_contain_text("http://127.0.0.1:9 cannot be reached", timeout=SECONDS)
        page.locator("#generate").click()
        assert "python -m serving up" in error_text(page)
        page.context.close()


def test_a_model_that_is_not_available_yet(site: Site, served: Served) -> None:
    with running.playground(served.url, "other") as url:
        page = site.open(LINK, url)
        expect(page.locator("#served")).to_contain_text("no version of “other” is available", timeout=SECONDS)
        page.locator("#generate").click()
        assert "it is loading, or none has been pushed" in error_text(page)
        page.context.close()


def test_a_link_to_a_version_that_is_no_longer_served(site: Site) -> None:
    page = site.open(LINK + "&version=3")
    expect(page.locator("#served")).to_contain_text("Version 3 is no longer served", timeout=SECONDS)
    page.locator("#generate").click()
    assert error_text(page) == "Version 3 is no longer served. Choose another version, or Newest."
    page.context.close()


def test_servers_that_are_killed_during_generation(site: Site, served: Served) -> None:
    copy = Path(served.config).with_name("again.config")
    copy.write_text(served.config.read_text())
    with running.embedded(copy, "small") as (server, process):
        with running.playground(server, "small") as url:
            page = site.open(LINK, url)
            page.locator("#generate").click()
            expect(page.locator(".sample")).to_have_count(4, timeout=SECONDS)
            process.kill()
            message = error_text(page)
            assert re.search("closed the connection early|cannot be reached", message)
            assert "the " in (page.locator(".text").first.text_content() or "")
            expect(page.locator("#served")).to_contain_text("cannot be reached", timeout=SECONDS)
        page.locator("#generate").click()  # now the playground has stopped, too
        expect(page.locator("#error")).to_contain_text("The playground no longer responds", timeout=SECONDS)
        error_text(page)
        page.context.close()
