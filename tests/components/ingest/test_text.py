import doctest
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.errors import UserError
from components.ingest import text
from components.ingest.text import clean, decode, read_document

START = "*** START OF THE PROJECT GUTENBERG EBOOK A TALE ***"
END = "*** END OF THE PROJECT GUTENBERG EBOOK A TALE ***"


def test_docstring_examples_run() -> None:
    assert doctest.testmod(text).failed == 0


@given(st.text(st.characters(exclude_characters="\0\ufeff", exclude_categories=["Cs"])))
def test_decode_inverts_utf8_and_gzip(content: str) -> None:
    assert decode(content.encode(), "a.txt") == content
    assert decode(gzip.compress(content.encode()), "a.txt.gz") == content


@pytest.mark.parametrize(
    "damaged",
    [
        gzip.compress(b"some text" * 50, mtime=0)[:-9],
        gzip.compress(b"some text", mtime=0)[:-4] + b"abcd",
        b"\x1f\x8b\x08\0junk",
        b"\x1f\x8b",
    ],
)
def test_corrupt_gzip_is_an_error_with_the_name(damaged: bytes) -> None:
    with pytest.raises(UserError, match=r"'books/a\.gz'.*cannot be decompressed.*Received: "):
        decode(damaged, "books/a.gz")


def test_other_encoding_is_an_error_with_offset_and_conversion() -> None:
    with pytest.raises(UserError) as caught:
        decode("naïve café".encode("latin-1"), "my book.txt", "books/my book.txt")
    assert "'my book.txt' is not UTF-8 at byte offset 2" in str(caught.value)
    assert "iconv -f WINDOWS-1252 -t UTF-8 'books/my book.txt' > 'utf8-my book.txt'" in str(caught.value)
    assert str(caught.value).endswith("Received: 0xef (invalid continuation byte)")


def test_offset_is_in_decompressed_bytes() -> None:
    with pytest.raises(UserError, match="byte offset 3"):
        decode(gzip.compress(b"abc\xff"), "a.gz")


def test_nul_looks_binary() -> None:
    with pytest.raises(UserError, match=r"'a\.txt' looks binary.*Received: 0x00 at byte offset 4$"):
        decode(b"\xff\xc3ab\0cd", "a.txt")


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("UTF-16", b"\xff\xfe"), ("UTF-16", b"\xfe\xff"), ("UTF-32", b"\xff\xfe\0\0"), ("UTF-32", b"\0\0\xfe\xff")],
)
def test_utf_16_and_utf_32_are_recognized(encoding: str, mark: bytes) -> None:
    with pytest.raises(UserError, match=rf"'a\.txt' is {encoding}.*iconv -f {encoding} -t UTF-8 a\.txt"):
        decode(mark + b"a\0b\0", "a.txt", "a.txt")


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("", ""),
        ("\ufeffa\r\nb\r\n", "a\nb\n"),
        ("a\rb\n\rc\r", "a\rb\n\rc\r"),
        ("\n\n a ", "\n\n a "),
        ("\ufeff\ufeffa\ufeffb", "a\ufeffb"),
        ("a\r\r\nb", "a\nb"),
        (f"no start\n{END}\nrest\n", f"no start\n{END}\nrest\n"),
        ("Produced by nobody\n\nA", "Produced by nobody\n\nA"),
        (f"he wrote {START}\nand left", f"he wrote {START}\nand left"),
    ],
)
def test_text_without_markers_loses_only_byte_order_mark_and_carriage_returns(given_text: str, expected: str) -> None:
    assert clean(given_text) == expected


@pytest.mark.parametrize(
    "start",
    [
        START,
        "*** START OF THIS PROJECT GUTENBERG EBOOK A TALE ***",
        "***START OF THE PROJECT GUTENBERG EBOOK A TALE***",
        "*** Start of the Project Gutenberg eBook A Tale ***  ",
        "*** START OF THE PROJECT GUTENBERG EBOOK A TALE OF SO MANY WORDS THAT\nIT WRAPS, BY SOMEONE ***",
    ],
)
@pytest.mark.parametrize(
    "end",
    [
        END,
        "*** END OF THIS PROJECT GUTENBERG EBOOK A TALE ***",
        "***END OF THE PROJECT GUTENBERG EBOOK A TALE***",
        "*** end of the project gutenberg ebook a tale\nthat wraps ***",
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_license_is_removed(start: str, end: str, line_end: str) -> None:
    document = f"\ufeffTitle: A Tale\n\n{start}\n\n\n  CHAPTER I\n\nOnce.\n\n\n{end}\n\nThe license.\n"
    assert clean(document.replace("\n", line_end)) == "  CHAPTER I\n\nOnce.\n"


def test_missing_end_keeps_the_rest() -> None:
    assert clean(f"header\n{START}\nOnce.\n\nTwice.") == "Once.\n\nTwice.\n"


def test_end_before_start_does_not_count() -> None:
    assert clean(f"{END}\n{START}\nOnce.\n") == "Once.\n"


def test_unfinished_start_marker_does_not_swallow_the_end_marker() -> None:
    document = f"*** START OF THE PROJECT GUTENBERG EBOOK A TALE\n{END}\n"
    assert clean(document) == document


def test_asterisks_on_the_line_after_the_marker_stay() -> None:
    assert clean(f"{START}\n* * ***\nOnce.") == "* * ***\nOnce.\n"


def test_nothing_between_the_markers_leaves_one_line_feed() -> None:
    assert clean(f"{START}\n\n{END}\n") == "\n"


def test_every_book_of_one_file_is_kept() -> None:
    book = "header\n" + START + "\n\n{}\n\n" + END + "\nlicense\n"
    assert clean(book.format("Once.") + book.format("Twice.")) == "Once.\n\nTwice.\n"


@pytest.mark.parametrize(
    "credit", ["Produced by A and B", "Produced by A,\nB and\nthe team at http://example.org", "  Produced by A"]
)
def test_credit_is_removed_only_directly_after_start(credit: str) -> None:
    assert clean(f"{START}\n\n\n{credit}\n\n\nOnce.\n{END}") == "Once.\n"
    assert clean(f"{START}\n\nOnce.\n\n{credit}\n\nTwice.\n{END}") == f"Once.\n\n{credit}\n\nTwice.\n"


@pytest.mark.parametrize(
    "closing",
    [
        "End of the Project Gutenberg EBook of A Tale, by Someone",
        "End of Project Gutenberg's A Tale, by Someone",
        "End of Project Gutenberg\u2019s A Tale",
        "END OF THE PROJECT GUTENBERG EBOOK OF A TALE",
        "End of the Project Gutenberg EBook of A Tale of So Many Words,\nby Someone",
    ],
)
def test_closing_line_is_removed_only_directly_before_end(closing: str) -> None:
    assert clean(f"{START}\nOnce.\n\n{closing}\n\n\n{END}") == "Once.\n"
    assert clean(f"{START}\nOnce.\n\n{closing}\n\nTwice.\n{END}") == f"Once.\n\n{closing}\n\nTwice.\n"


def test_editor_note_is_removed() -> None:
    note = "[Project Gutenberg Editor's Note: there is\nanother version]"
    assert clean(f"{START}\nA TALE\n\n{note}\n\n\nChapter I [sic]\n{END}") == "A TALE\n\nChapter I [sic]\n"


PIECES = st.sampled_from(
    [
        START,
        END,
        "***START OF THIS PROJECT GUTENBERG EBOOK X\n",
        "*** END OF",
        "***",
        " ",
        "\n",
        "\r\n",
        "\r",
        "\ufeff",
        "Produced by A",
        "End of Project Gutenberg's X",
        "[Project Gutenberg Editor's Note: a",
        "]",
        "word",
    ]
)


@given(st.lists(PIECES, max_size=25).map("".join) | st.text())
@example(f"{START}\n\ufeffa\r\n\r{END}")
@example("\r\r\n" * 3)
@example(f"{START}\na\r")
def test_clean_is_idempotent(content: str) -> None:
    once = clean(content)
    assert clean(once) == once
    assert not once.startswith("\ufeff")
    assert "\r\n" not in once


@given(st.text(st.characters(exclude_characters="\r\ufeff*")))
def test_clean_changes_nothing_else(content: str) -> None:
    assert clean(content) == content


def test_long_runs_take_linear_time() -> None:
    content = "\r" * 200_000 + "a\r\n" + "*" * 200_000 + "\n" * 200_000
    assert clean(content) == content.replace("\r\n", "\n")


def test_read_document_is_decode_then_clean() -> None:
    data = gzip.compress(f"\ufeffheader\r\n{START}\r\nOnce.\r\n{END}".encode())
    assert read_document(data, "a.txt.gz") == "Once.\n"


def test_shakespeare_is_unchanged(long_text: Callable[[str], Path]) -> None:
    data = long_text("shakespeare.txt").read_bytes()
    content = read_document(data, "shakespeare.txt")
    assert content.encode() == data
    assert (len(content), len(set(content))) == (1_115_394, 65)


def test_great_expectations_is_the_novel_only(long_text: Callable[[str], Path]) -> None:
    content = read_document(long_text("great_expectations.txt").read_bytes(), "great_expectations.txt")
    assert content.startswith("GREAT EXPECTATIONS\n\n[1867 Edition]\n\nby Charles Dickens\n")
    assert content.endswith("I saw no shadow of another parting from her.\n")
    assert "\nChapter I\n\nMy father's family name being Pirrip" in content
    assert "\nChapter LIX\n" in content
    for absent in ("\r", "\ufeff", "Project Gutenberg", "Produced by"):
        assert absent not in content
    assert clean(content) == content
