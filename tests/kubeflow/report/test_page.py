"""The page loads nothing, runs nothing, shows every text as text, and stays small."""

import dataclasses
from html.parser import HTMLParser

import pytest

from kubeflow.report import page
from tests.kubeflow.report.results import FIGURES, RESULT

pytestmark = pytest.mark.integration
MARKUP = "</pre></td><script>alert(1)</script><img src=http://example.org/x onerror=alert(2)>&amp;"


class Parsed(HTMLParser):
    """Tags, attributes with an address or code, and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.active, self.text = set[str](), list[str | None](), ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.active += [value for name, value in attrs if name in ("src", "href", "style") or name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_of_a_pushed_model_has_figures_curve_sample_documents_and_data() -> None:
    parsed = Parsed(page.render(RESULT))
    for shown in (
        "Blessed; version 3 (pushed)",
        "4.500 (state carried within each passage)",
        "0.012% of the eval text",
        "1.250 and 1.500 nats: a gap of 0.250",
        "3.00% of 20, 0.10% of 50 characters",
        '"to be & not" in easy.txt',
        "He said & wrote:\n  <so>",
        "hard.txt",
        "1,115,394",
    ):
        assert shown in parsed.text
    assert parsed.active == ["data:image/png;base64,UE5H"]


@pytest.mark.parametrize(
    ("blessed", "heading"), [(False, "Not blessed"), (True, "Blessed, but not pushed")], ids=["evaluation", "infra"]
)
def test_page_of_a_rejected_model_begins_with_the_reasons(blessed: bool, heading: str) -> None:
    rejected = dataclasses.replace(RESULT, blessed=blessed, reasons=("too hard", "no score"), version="")
    text = page.render(rejected)
    assert f'<p class="bad">{heading}</p>\n<ul><li>too hard</li><li>no score</li></ul>\n<h2>Evaluation' in text
    assert "<th>version</th><td>not pushed</td>" in text


def test_markup_in_any_text_is_shown_as_text() -> None:
    figures = dataclasses.replace(FIGURES, by_document={MARKUP: 2.0, f"{MARKUP}.txt": 3.0})
    texts = {"model": MARKUP, "corpus": MARKUP, "missing_baseline": MARKUP, "version": MARKUP, "samples": {1.0: MARKUP}}
    pushed = dataclasses.replace(RESULT, figures=figures, **texts)
    rejected = dataclasses.replace(pushed, version="", reasons=(MARKUP,))
    for made, times in ((pushed, 9), (rejected, 8)):
        parsed = Parsed(page.render(made))
        assert parsed.tags == Parsed(page.render(RESULT)).tags | ({"ul", "li"} if made is rejected else set())
        assert parsed.active == ["data:image/png;base64,UE5H"]
        assert parsed.text.count(MARKUP) == times


def test_scripts_and_other_addresses_are_forbidden_to_the_page() -> None:
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page.render(RESULT)


def test_page_without_curve_states_that_and_of_one_document_has_no_table_of_documents() -> None:
    figures = dataclasses.replace(FIGURES, by_document={"a.txt": 4.5})
    made = dataclasses.replace(RESULT, learning_curve=b"", figures=figures)
    text = page.render(made)
    assert "The training wrote no events." in text
    assert "a.txt" not in text


def test_page_of_many_long_names_stays_small_and_shows_the_hardest_documents() -> None:
    by_document = {f"{number:04} {'x' * 9000}": float(number) for number in range(3000)}
    made = dataclasses.replace(RESULT, figures=dataclasses.replace(FIGURES, by_document=by_document))
    text = page.render(made)
    assert len(text) < 200_000
    assert text.index("2999 xx") < text.index("2950 xx")
    assert "2949 xx" not in text
    assert "Left out: 2,950 documents with lower perplexity." in text
