"""The page is usable on a phone, by keyboard, with a screen reader and in dark mode; no full accessibility audit."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.serving.playground.running import Site

pytestmark = pytest.mark.integration

LINK = "#prompt=the+%C3%A9%0A&length=300&seed=41&samples=2"
SECONDS = 30_000
DESKTOP, PHONE = (1280, 800), (360, 640)

# Contrast by WCAG 2: text against the background behind it, colors mixed by their alpha.
CONTRAST = """elements => {
  const rgba = (text) => { const c = text.match(/[\\d.]+/g).map(Number); return c.length < 4 ? [...c, 1] : c; };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const behind = (element) => {
    if (!element) return rgba(getComputedStyle(document.body).backgroundColor);
    const own = rgba(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own : over(own, behind(element.parentElement));
  };
  const light = (color) => [0, 1, 2].map((i) => color[i] / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  return elements.filter((one) => one.checkVisibility() && !one.disabled).map((one) => {
    const style = getComputedStyle(one);
    return {
      name: `${one.tagName.toLowerCase()}#${one.id}.${one.className}`,
      text: ratio(rgba(style.color), behind(one)),
      border: ratio(rgba(style.borderTopColor), behind(one.parentElement)),
    };
  });
}"""


def opened(site: Site, size: tuple[int, int], scheme: Any = "light", **context: Any) -> Page:
    viewport = {"width": size[0], "height": size[1]}
    page = site.open(LINK, viewport=viewport, color_scheme=scheme, **context)
    page.locator("#shade").check()
    page.locator("#generate").click()
    expect(page.locator("#status")).to_contain_text("characters", timeout=SECONDS)
    page.locator("#temperature").fill("")
    page.locator("#generate").click()
    expect(page.locator("#error")).to_be_visible()  # so that an error is on the page, too
    page.locator(".character").nth(7).click()
    expect(page.locator(".alternatives button")).to_have_count(5)
    return page


@pytest.fixture(scope="module", params=["light", "dark"])
def page(site: Site, request: pytest.FixtureRequest) -> Iterator[Page]:
    page = opened(site, DESKTOP, request.param)
    yield page
    page.context.close()


def test_every_text_has_enough_contrast(page: Page) -> None:
    found = page.locator("body, body *:not(noscript)").evaluate_all(CONTRAST)
    assert len(found) > 600
    for level in range(1, 6):
        assert any(f"p{level}" in one["name"] for one in found)
    assert not [one for one in found if one["text"] < 4.5]


def test_the_borders_of_controls_have_enough_contrast(page: Page) -> None:
    controls = page.locator("textarea, select, input[type=number], input[type=text], button:not(.alternatives *)")
    found = controls.evaluate_all(CONTRAST)
    assert len(found) > 8
    assert not [one for one in found if one["border"] < 3.0]


def test_every_control_has_a_name_and_a_visible_focus(page: Page) -> None:
    page.keyboard.press("Escape")
    expect(page.locator(".alternatives")).to_have_count(0)
    page.evaluate("document.activeElement.blur()")
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                """() => {
                  const element = document.activeElement, style = getComputedStyle(element);
                  const by = (element.getAttribute("aria-labelledby") ?? "").split(" ").filter(Boolean);
                  const labels = by.map((id) => document.getElementById(id).textContent).join(" ");
                  const own = element.labels?.[0]?.textContent || element.textContent;
                  const name = element.getAttribute("aria-label") || labels || own;
                  return [element.id || element.className, name.trim(), style.outlineStyle, style.outlineWidth];
                }"""
            )
        )
    found = {one[0]: one for one in seen if one[1] and one[2] != "none"}
    wanted = {"prompt", "generate", "temperature-slider", "temperature", "top_k", "length", "samples", "seed"}
    wanted |= {
        "top_p",
        "repetition_penalty",
        "stop_text",
        "compare",
        "new-seed",
        "version",
        "shade",
        "link",
        "text",
        "small",
    }
    assert wanted <= set(found)
    assert {one[2:] == ["solid", "3px"] for key, one in found.items() if key in wanted} == {True}
    assert len({one[1] for one in found.values()}) == len(found)


def test_changes_are_announced_to_screen_readers(page: Page) -> None:
    assert page.locator("#status").get_attribute("aria-live") == "polite"
    assert page.locator("#error").get_attribute("role") == "alert"
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("main").count() == page.locator("h1").count() == 1


def test_a_phone_needs_no_horizontal_scrolling(site: Site) -> None:
    page = opened(site, PHONE, has_touch=True, is_mobile=True, device_scale_factor=2)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    outside = page.locator("body *").evaluate_all(
        f"all => all.map((one) => one.getBoundingClientRect()).filter((box) => box.right > {PHONE[0]} + 0.5).length"
    )
    assert outside == 0
    for name in ("#generate", "#stop"):  # always visible, and large enough to tap
        box = page.locator(name).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= PHONE[1]
        assert box["height"] >= 40
    page.locator("#temperature").fill("1")
    page.locator(".character").nth(9).tap()
    expect(page.locator("#readout")).to_contain_text("Character 10, ")
    for box in (one.bounding_box() for one in page.locator(".alternatives button").all()):
        assert box is not None
        assert box["height"] >= 40
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE[0]
    page.evaluate("scrollTo(0, 0)")
    page.locator("#generate").tap()
    expect(page.locator("#status")).to_contain_text("characters", timeout=SECONDS)
    expect(page.locator(".text").first).to_be_in_viewport(timeout=5000)  # the page scrolls to the text
    page.context.close()


def test_reduced_motion_stops_the_animation(site: Site) -> None:
    running = "getComputedStyle(document.querySelector('.generating .text'), '::after').animationName"
    for preference, name in (("reduce", "none"), ("no-preference", "blink")):
        page = site.open(LINK.replace("length=300", "length=50000"), reduced_motion=preference)
        page.locator("#generate").click()
        expect(page.locator(".sample")).to_have_count(2, timeout=SECONDS)
        assert page.evaluate(running) == name
        page.context.close()
