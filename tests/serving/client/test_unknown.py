import doctest

import pytest

from serving.client import unknown


def test_docstring_examples_run() -> None:
    assert doctest.testmod(unknown).failed == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("\u0301a", ["\u0301", "a"]),
        ("n\u0323\u0303o", ["n\u0323\u0303", "o"]),
        ("\u1112\u1161\u11ab\uae00", ["\u1112\u1161\u11ab", "\uae00"]),
        ("\u0939\u093f", ["\u0939\u093f"]),
    ],
)
def test_marks_belong_to_the_character_before(text: str, expected: list[str]) -> None:
    assert unknown.split(text) == expected


def test_each_character_is_asked_for_once() -> None:
    texts = ["abca", "".join(map(chr, range(0x4E00, 0x4E00 + 300))), "b"]
    first, second = unknown.batches(texts)
    assert (first[:4], len(first)) == (["a", "b", "c", "\u4e00"], 256)
    assert len(set(first + second)) == len(first + second) == 303


@pytest.mark.integration
@pytest.mark.parametrize("character", ["a", "\u8a9e", "e" + "\u0301" * 100, "e" + "\u0301" * 10_000])
def test_example_is_that_of_tensorflow(character: str) -> None:
    import tensorflow as tf

    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[f"\n{character}".encode()]))
    expected = tf.train.Example(features=tf.train.Features(feature={"text": feature}))
    assert unknown.example(character) == expected.SerializeToString()
