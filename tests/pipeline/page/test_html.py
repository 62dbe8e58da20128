"""The page loads nothing, runs nothing, shows every text as text, and stays small."""

import dataclasses
import math
from html.parser import HTMLParser

import pytest

from components.evaluate.hardest import Passage
from components.models.training import Training
from pipeline.learning_curve import Curves
from pipeline.page import html
from pipeline.page.contents import FAILED, INTERRUPTED, NOT_BLESSED, Contents, Step
from tests.pipeline.page.results import CONTENTS, FIGURES

pytestmark = pytest.mark.integration
MARKUP = "</pre></td></svg><script>alert(1)</script><img src=http://example.org/x onerror=alert(2)>&amp;"


class Parsed(HTMLParser):
    """Tags, attributes with an address or code, and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.active, self.text = set[str](), list[str | None](), ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.active += [value for name, value in attrs if name in ("src", "href") or name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_of_a_pushed_model_shows_what_is_known() -> None:
    parsed = Parsed(html.render(CONTENTS))
    for shown in (
        "Blessed; version 3 pushed",
        "4.500 (state carried within each passage)",
        "0.012% of the eval text",
        "10.0% below the perplexity of version 2, the last blessed model.",
        "3.00% of 20, 0.10% of 50 characters",
        '"to be & not" in easy.txt',
        "threshold, perplexity 6.00",
        "Temperature 0.5",
        "He said & wrote:\n  <so>",
        "hard.txt5.500-",
        "easy.txt3.5004.000",
        "hard.txt, character 1,200: perplexity 7.44",
        "1,115,394",
        "No anomalies: all records match the schema.",
        "space 75.00%< 24.00%",
        "1.000% are characters that the vocabulary leaves out.",
        "Trainer83.3 sexecuted",
        "1 of 2 from the cache.",
        "200 steps in 1:01 minutes, 100 CPU-seconds; 2 CPU cores.",
        "gru 1x64, 200 steps",
        "compared with version 2",
    ):
        assert shown in parsed.text
    assert parsed.active == []
    assert '<span class="p0">a&lt;</span><span class="p5">b</span>' in html.render(CONTENTS)


def test_page_of_a_rejected_model_begins_with_the_reasons() -> None:
    rejected = dataclasses.replace(CONTENTS, decision=NOT_BLESSED, reasons=("too hard", "no score"), version="")
    page = html.render(rejected)
    assert '<p class="verdict bad">Not blessed</p>\n<ul><li>too hard</li><li>no score</li></ul>\n' in page
    assert "<title>char_rnn: not blessed</title>" in page
    assert "No version" in page


@pytest.mark.parametrize("decision", [f"{FAILED} at Trainer", f"{INTERRUPTED} at Trainer"])
def test_page_of_a_run_without_a_result_has_the_sections_that_were_reached(decision: str) -> None:
    steps = (Step("Transform", 1.0, "executed"), Step("Trainer", 2.0, decision.split()[0]))
    page = html.render(Contents("m", "texts", decision, ("the disk is full",), steps=steps, anomalies=()))
    headings = [part.partition("</h2>")[0] for part in page.split("<h2>")[1:]]
    assert headings == ["Data", "Components", "From the text to the version"]
    assert f'<p class="verdict bad">{decision.capitalize().replace("trainer", "Trainer")}</p>' in page
    assert page.count('class="box missing"') == 4, "the vocabulary was made"


def test_markup_in_any_text_is_shown_as_text() -> None:
    figures = dataclasses.replace(FIGURES, by_document={MARKUP: 2.0, f"{MARKUP}.txt": 3.0})
    names = ("model", "corpus", "decision", "when", "missing_baseline", "eval_text", "drift", "baseline")
    made = dataclasses.replace(
        CONTENTS,
        **dict.fromkeys(names, MARKUP),
        reasons=(MARKUP,),
        figures=figures,
        samples={1.0: MARKUP},
        anomalies=(MARKUP,),
        hardest=(Passage(MARKUP, 1, MARKUP, (1.0,) * len(MARKUP)),),
        training=Training(hardware=MARKUP, network=MARKUP, steps=1, frequencies={"<": 1, "&": 1}),
        steps=(Step(MARKUP, 1.0, MARKUP),),
    )
    parsed, plain = Parsed(html.render(made)), Parsed(html.render(CONTENTS))
    assert parsed.tags - plain.tags == set()
    assert parsed.active == []
    assert parsed.text.count(MARKUP) == 20


def test_control_characters_are_visible_and_scripts_and_addresses_forbidden() -> None:
    page = html.render(dataclasses.replace(CONTENTS, corpus="a\u202eb\x1b[31m"))
    assert "a\\u202eb\\x1b[31m" in page
    assert "default-src 'none'; style-src 'unsafe-inline'" in page


def test_page_of_many_long_names_and_characters_stays_small() -> None:
    by_document = {f"{number:04} {'x' * 9000}": float(number) for number in range(3000)}
    frequencies = {chr(0x4E00 + number): 9 for number in range(20_000)}
    figures = dataclasses.replace(FIGURES, by_document=by_document)
    made = dataclasses.replace(CONTENTS, figures=figures, training=Training(frequencies=frequencies))
    page = html.render(made)
    assert len(page) < 200_000
    assert page.index("2999 xx") < page.index("2980 xx")
    assert "2979 xx" not in page
    assert "Left out: 2,980 documents with lower perplexity." in page


def test_losses_that_are_not_finite_are_left_out() -> None:
    def page(*train: tuple[int, float]) -> str:
        return html.render(dataclasses.replace(CONTENTS, curves=Curves(list(train), [])))

    assert "Fewer than two finite losses were recorded." in page((1, math.nan), (2, 4.0))
    assert "polyline" in page((1, 4.0), (2, math.inf), (3, 2.0))
