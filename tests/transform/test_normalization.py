"""The graph normalizes as Python does, which reads the corpus."""

import random
import unicodedata

import pytest
import tensorflow as tf

from components.ingest.text import normalize
from transform import normalization
from transform.normalization import Normalizer

pytestmark = pytest.mark.integration

MARKS = list(map(chr, normalization.combining_classes()))
SECONDS = sorted({chr(second) for _, second in normalization.compositions()})
# Characters that normalization or folding changes, or that take part in it.
ACTIVE = sorted(
    {*MARKS, *SECONDS}
    | {chr(code_point) for code_point in normalization.replacements("nfc", True)}
    | {one for text in normalization.replacements("nfc", True).values() for one in text}
)


@pytest.mark.parametrize(("form", "fold_case"), [("nfc", False), (None, True), ("nfc", True)])
def test_graph_normalizes_as_python_does(form: str | None, fold_case: bool) -> None:
    chance = random.Random(19)
    kinds = [ACTIVE, SECONDS, MARKS, list("aeo\u03b1\u0391\u1100\u1161")]
    texts = ACTIVE + [one + "\u0345\u0301\u0327" for one in chance.sample(ACTIVE, 1_000)]
    texts += ["".join(chance.choice(chance.choice(kinds)) for _ in range(chance.randrange(12))) for _ in range(1_000)]
    expected = [normalize(text, form, fold_case) for text in texts]
    normalized = tf.function(Normalizer(form, fold_case), autograph=False)(tf.strings.unicode_decode(texts, "UTF-8"))
    found = [text.decode() for text in tf.strings.unicode_encode(normalized, "UTF-8").numpy()]
    assert {text: pair for text, *pair in zip(texts, found, expected) if pair[0] != pair[1]} == {}
    # Of a normalized text any part is normalized: so the evaluation measures the passages that the ingestion cut.
    parts = [text[chance.randrange(len(text) + 1) :] for text in expected] + expected
    assert [part for part in parts if normalize(part, form, fold_case) != part] == []


def test_only_one_mark_becomes_a_letter_by_case_folding() -> None:
    folded = {mark: unicodedata.normalize("NFD", mark.casefold()) for mark in MARKS}
    assert [mark for mark, text in folded.items() if text != unicodedata.normalize("NFD", mark)] == ["\u0345"]
