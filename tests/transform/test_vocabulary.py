import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.ingest import documents
from transform import vocabulary
from transform.vocabulary import UNICODE_SIZE, Vocabulary

CODE_POINTS = st.lists(st.integers(0, UNICODE_SIZE - 1), unique=True, max_size=30).map(tuple)


def test_tokens_are_decimal_code_points_in_order_of_their_ids() -> None:
    vocabulary = Vocabulary.from_tokens([b"000032", b"000101", b"000010", b"128512", b"1114111"])
    assert vocabulary.characters == (" ", "e", "\n", "😀", "\U0010ffff")
    assert vocabulary.encode("e\n 😀") == [1, 2, 0, 3]


def test_all_other_characters_share_the_id_after_the_last() -> None:
    vocabulary = Vocabulary((ord("a"), ord("b")))
    assert vocabulary.out_of_vocabulary == 2
    assert vocabulary.size == 3
    assert vocabulary.encode("aAbé語") == [0, 2, 1, 2, 2]
    assert vocabulary.decode([0, 2, 1]) == "a\ufffdb"
    assert vocabulary.decode([0, 2, 1], unknown="[UNK]") == "a[UNK]b"


@pytest.mark.parametrize("placeholder", [b"b", b"a copy", b""])
def test_placeholder_of_an_empty_vocabulary_is_an_error(placeholder: bytes) -> None:
    with pytest.raises(ValueError, match="The vocabulary is empty: .* vocabulary.min_count"):
        Vocabulary.from_tokens([placeholder])


def test_empty_vocabulary_has_the_out_of_vocabulary_id_only() -> None:
    vocabulary = Vocabulary(())
    assert vocabulary.encode("ab") == [0, 0]
    assert (vocabulary.size, vocabulary.unknown_characters) == (1, UNICODE_SIZE)


@pytest.mark.parametrize(("characters", "start"), [("ab\n\x03", 3), ("ab\n", 2), ("ab", 0)])
def test_text_without_prompt_starts_like_a_document_or_a_line(characters: str, start: int) -> None:
    assert Vocabulary(tuple(map(ord, characters))).start == start


def test_end_of_document_is_the_symbol_of_the_ingestion() -> None:
    assert vocabulary.END_OF_DOCUMENT == documents.END


def test_every_code_point_is_counted_once() -> None:
    assert chr(UNICODE_SIZE - 1) == "\U0010ffff"
    with pytest.raises(ValueError, match="range"):
        chr(UNICODE_SIZE)
    assert Vocabulary((65, 66, 67)).unknown_characters + 3 == UNICODE_SIZE


@given(CODE_POINTS, st.data())
def test_decoding_restores_every_text_of_known_characters(code_points: tuple[int, ...], data: st.DataObject) -> None:
    vocabulary = Vocabulary(code_points)
    known = st.sampled_from(vocabulary.characters) if code_points else st.nothing()
    text = "".join(data.draw(st.lists(known))) if code_points else ""
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == text
    assert all(0 <= i < vocabulary.out_of_vocabulary for i in ids)


@given(CODE_POINTS, st.text())
def test_encoding_gives_one_id_per_character(code_points: tuple[int, ...], text: str) -> None:
    vocabulary = Vocabulary(code_points)
    ids = vocabulary.encode(text)
    assert len(ids) == len(text)
    for character, i in zip(text, ids):
        known = ord(character) in code_points
        assert (code_points[i] == ord(character)) if known else (i == vocabulary.out_of_vocabulary)


def test_docstring_examples() -> None:
    outcome = doctest.testmod(vocabulary)
    assert outcome.attempted
    assert not outcome.failed
