"""Generation, Stop, shading and links on the page; the expected texts come from the model server."""

import math
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from tests.serving.playground.running import Site

pytestmark = pytest.mark.integration

SECONDS = 30_000  # in milliseconds; a busy machine is slow
PROMPT = "the é\n"


def finished(page: Page, text: str = "characters") -> None:
    expect(page.locator("#status")).to_contain_text(text, timeout=SECONDS)
    expect(page.locator("#stop")).to_be_disabled(timeout=SECONDS)


def texts(page: Page) -> list[str]:
    return page.locator(".text").all_text_contents()


def expected(site: Site, prompt: str, rows: int, **changed: Any) -> list[str]:
    values = {"num_chars": 150, "temperature": 0.9, "top_k": 12} | changed
    instances = [{"prompt": prompt, "seed": 41 + row, **values} for row in range(rows)]
    return [prompt + text for text in site.ask("generate", instances)]


def test_the_served_version_is_shown(page: Page) -> None:
    expect(page.locator("#served")).to_have_text(
        "small, version 7 (stable) · perplexity 5.13 · 2.36 bits per character · trained on noise.txt"
        " · pushed Jan 2, 2026 · model card"
    )
    with page.expect_popup() as opened:
        page.locator("#served a").click()
    expect(opened.value.locator("body")).to_have_text("# card of 7")
    assert page.locator("#version option").all_text_contents() == ["Newest", "Version 7 (stable), perplexity 5.13"]


def test_generation_by_keyboard_only(site: Site, page: Page) -> None:
    page.locator("#prompt").fill("")
    page.locator("#prompt").focus()
    page.keyboard.type("no ")
    page.keyboard.press("Control+Enter")
    finished(page)
    assert texts(page) == expected(site, "no ", 2)
    assert page.locator(".sample .facts").all_text_contents() == ["seed 41", "seed 42"]
    assert page.locator("#prompt").evaluate("element => element === document.activeElement")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the focus is on Generate; the same seed repeats the text
    expect(page.locator("#status")).to_contain_text("Generating", timeout=SECONDS)
    finished(page)
    assert texts(page) == expected(site, "no ", 2)


def test_the_text_arrives_in_chunks_and_equals_one_generate_request(site: Site, page: Page) -> None:
    page.locator("#length").fill("2000")
    with page.expect_request(re.compile(":predict")):
        page.locator("#generate").click()
    lengths = set[int]()
    while page.locator("#stop").is_enabled():
        lengths |= {len(text) for text in texts(page)}
    finished(page)
    assert texts(page) == expected(site, PROMPT, 2, num_chars=2000)
    assert len(lengths) > 2
    asked = [request.post_data_json for request in site.requests if ":predict" in request.url]
    counts = [body["instances"][0]["num_chars"] for body in asked][-len(asked) :]
    assert 16 in counts
    assert any("/versions/7:predict" in request.url for request in site.requests)


def test_a_new_seed_is_shown_and_repeats_the_text(site: Site, page: Page) -> None:
    page.locator("#samples").fill("1")
    page.locator("#new-seed").check()
    page.locator("#generate").click()
    finished(page)
    first, seed = texts(page), page.locator("#seed").input_value()
    page.locator("#generate").click()
    expect(page.locator("#seed")).not_to_have_value(seed)
    finished(page)
    assert texts(page) != first
    page.locator("#seed").fill(seed)
    expect(page.locator("#new-seed")).not_to_be_checked()
    page.locator("#generate").click()
    expect(page.locator(".sample .facts")).to_have_text(f"seed {seed}")
    finished(page)
    assert texts(page) == first


@pytest.mark.parametrize("how", ["Escape", "click"])
def test_stop_stops_the_page_and_the_server(site: Site, page: Page, how: str) -> None:
    page.locator("#length").fill("50000")
    page.locator("#samples").fill("8")
    page.locator("#generate").click()
    expect(page.locator(".sample")).to_have_count(8, timeout=SECONDS)
    if how == "click":
        page.locator("#stop").click()
        assert page.locator("#generate").evaluate("element => element === document.activeElement")
    else:
        page.keyboard.press("Escape")
    finished(page, "Stopped after")
    stopped, asked = texts(page), len(site.requests)
    assert 0 < len(stopped[0]) < 50_000
    page.wait_for_timeout(500)
    assert texts(page) == stopped
    assert not [request for request in site.requests[asked:] if ":predict" in request.url]
    # Work that was not stopped would delay this request.
    page.locator("#length").fill("20")
    page.locator("#samples").fill("1")
    page.locator("#generate").click()
    finished(page, "20 characters")


def test_each_character_is_shaded_by_its_probability(site: Site, page: Page) -> None:
    page.locator("#shade").check()
    page.locator("#generate").click()
    finished(page)
    (whole, *_), (scored, *_) = texts(page), site.ask("score", [{"text": text} for text in texts(page)])
    spans = page.locator(".text").first.locator(".character")
    found = spans.evaluate_all("all => all.map((one) => [one.textContent, one.className])")
    assert [character for character, _ in found] == list(whole)  # code points: the emoji is one
    assert "😀" in whole
    assert "\n" in whole
    bounds = (0.9, 0.5, 0.2, 0.05, 0.01, 0.0)
    for (character, name), nats in zip(found[1:], scored["nll"]):
        probability = math.exp(-nats)
        assert f"p{next(i for i, bound in enumerate(bounds) if probability >= bound)}" in name.split()
        assert ("line-end" in name) == (character == "\n")
    assert [("prompt" in name.split()) for _, name in found].count(True) == len(PROMPT)
    page.locator(".text").first.focus()
    page.keyboard.press("Home")
    for nats in scored["nll"][:3]:
        page.keyboard.press("ArrowRight")
        expect(page.locator("#readout")).to_contain_text(f"{nats / math.log(2):.2f} bits")
        shown = re.search(r"([\d.e-]+)% likely", page.locator("#readout").text_content())
        assert float(shown[1]) == pytest.approx(math.exp(-nats) * 100, rel=6e-3)
    page.locator("#shade").uncheck()
    expect(page.locator(".character")).to_have_count(0)
    assert texts(page)[0] == whole


def test_a_text_without_a_prompt_is_shaded_from_its_first_character(site: Site, page: Page) -> None:
    page.locator("#prompt").fill("")
    page.locator("#generate").click()
    finished(page)
    page.locator("#shade").check()
    finished(page, "Shaded")
    (whole, *_), (scored, *_) = texts(page), site.ask("score", [{"text": "\n" + text} for text in texts(page)])
    page.locator(".text").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#readout")).to_contain_text(f"{scored['nll'][0] / math.log(2):.2f} bits")
    assert page.locator(".text").first.locator(".character").count() == len(whole) == 150


def test_the_alternatives_of_a_character_and_generation_after_one_that_is_taken(site: Site, page: Page) -> None:
    page.locator("#generate").click()
    finished(page)
    whole, other = texts(page)
    asked = len(site.requests)
    text, readout, buttons = page.locator(".text").first, page.locator("#readout"), page.locator(".alternatives button")
    text.focus()
    for key in ("ArrowRight", "End", "Home", *["ArrowRight"] * 20):
        page.keyboard.press(key)
    expect(readout).to_contain_text(f"Character 21, {'line end' if whole[20] == chr(10) else f'“{whole[20]}”'}: ")
    expect(buttons).to_have_count(5)
    (row,) = site.ask("alternatives", [{"text": whole, "top_n": 5}])
    for button, character, probability in zip(buttons.all(), row["characters"][20], row["probabilities"][20]):
        name = {" ": "space", "\n": "line end"}.get(character, f"“{character}”")
        label = button.get_attribute("aria-label")
        assert label.startswith(f"Continue with {name}, ")
        assert float(re.search(r"([\d.e-]+)% likely", label)[1]) == pytest.approx(probability * 100, rel=6e-3)
    page.keyboard.press("Escape")
    expect(buttons).to_have_count(0)
    page.locator(".character").nth(1).hover()  # in the prompt
    expect(buttons).to_have_count(5)
    requests = [request for request in site.requests[asked:] if ":predict" in request.url]
    assert [request.post_data_json["signature_name"] for request in requests] == ["alternatives"]  # one for each text

    text.focus()
    page.keyboard.press("Home")
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    expect(readout).to_contain_text("Character 21, ")
    page.keyboard.press("Enter")  # to the list
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    prompt = whole[:20] + row["characters"][20][1]
    expect(text).to_contain_text(prompt)
    finished(page)
    assert texts(page) == [*expected(site, prompt, 1), other]
    assert text.evaluate("element => element === document.activeElement")


def test_two_temperatures_side_by_side_with_controls_of_newer_exports(site: Site, page: Page) -> None:
    controls = {"top_p": 0.9, "repetition_penalty": 1.5, "stop": "E,"}
    for key, value in controls.items():
        page.locator({"stop": "#stop_text"}.get(key, f"#{key}")).fill(str(value))
    page.locator("#compare").select_option("temperature")
    page.locator("#compare_value").fill("2.5")
    page.locator("#generate").click()
    finished(page)
    shown = []
    for temperature in (0.9, 2.5):
        values = {"prompt": PROMPT, "num_chars": 150, "temperature": temperature, "top_k": 12, **controls}
        rows = site.ask("sample", [{**values, "seed": seed} for seed in (41, 42)])
        assert any(row["stopped"] for row in rows)
        shown.append([PROMPT + row["text"].removesuffix("E,") for row in rows])
    assert texts(page) == [shown[0][0], shown[1][0], shown[0][1], shown[1][1]]
    titles = [f"Sample {number}, temperature {value}" for number in (1, 2) for value in ("0.9", "2.5")]
    assert page.locator(".sample h2").all_text_contents() == titles
    boxes = [one.bounding_box() for one in page.locator(".sample").all()]
    assert boxes[0]["y"] == boxes[1]["y"] < boxes[2]["y"] == boxes[3]["y"]
    assert boxes[0]["x"] + boxes[0]["width"] < boxes[1]["x"]
    page.set_viewport_size({"width": 360, "height": 640})
    boxes = [one.bounding_box() for one in page.locator(".sample").all()]
    assert len({box["x"] for box in boxes}) == 1
    assert boxes == sorted(boxes, key=lambda box: box["y"])


def test_an_export_without_the_new_signatures_generates_and_shades(site: Site) -> None:
    page = site.browser.new_page()

    def older(route: Route) -> None:
        found = route.fetch().json()
        signatures = found["metadata"]["signature_def"]["signature_def"]
        for name in ("sample", "sample_from_state", "alternatives"):
            del signatures[name]
        route.fulfill(json=found)

    page.route("**/versions/7/metadata", older)
    page.goto(site.url + "#prompt=the+%C3%A9%0A&temperature=0.9&top_k=12&length=150&seed=41&samples=2&top_p=0.5")
    for key in ("top_p", "repetition_penalty", "stop_text"):
        expect(page.locator(f"#{key}")).to_be_disabled(timeout=SECONDS)
        expect(page.locator(f"#{key}-hint")).to_have_text("Not in this version: its export is older.")
    page.locator("#shade").check()
    page.locator("#generate").click()
    finished(page)
    assert texts(page) == expected(site, PROMPT, 2)
    readout = page.locator("#readout")
    page.locator(".text").first.focus()
    page.keyboard.press("ArrowRight")
    expect(readout).to_have_text("Character 1, “t”: not scored, it has no context")
    page.locator(".text").nth(1).locator(".character").nth(5).click()
    expect(readout).to_contain_text("Character 6, line end: ")
    expect(page.locator(".alternatives")).to_have_count(0)
    page.close()


def test_a_link_opens_the_same_values(site: Site, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#link").click()
    expect(page.locator("#link")).to_have_text("Copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.url
    other = site.open(urlsplit(link).fragment.join(["#", ""]))
    other.locator("#generate").click()
    finished(other)
    assert texts(other) == expected(site, PROMPT, 2)
    other.locator(".sample button").nth(1).click()
    expect(other.locator(".sample button").nth(1)).to_have_text("Copied")
    other.context.grant_permissions(["clipboard-read"])
    assert other.evaluate("navigator.clipboard.readText()") == texts(other)[1]
    other.context.close()


def test_the_exports_defaults_fill_controls_that_the_link_does_not_name(site: Site) -> None:
    page = site.open("#temperature=0.4")
    expect(page.locator("#length")).to_have_value("120", timeout=SECONDS)
    expect(page.locator("#temperature")).to_have_value("0.4")
    expect(page.locator("#temperature-slider")).to_have_value("0.4")
    expect(page.locator("#new-seed")).to_be_checked()
    page.context.close()


def test_no_request_leaves_this_machine(site: Site, page: Page) -> None:
    page.locator("#generate").click()
    finished(page)
    assert {urlsplit(request.url).hostname for request in site.requests} == {"127.0.0.1"}
