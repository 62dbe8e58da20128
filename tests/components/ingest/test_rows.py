import csv
import doctest
import gzip
import io
import json
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import UserError
from components.ingest import rows
from components.ingest.text import Reading, read_document, read_rows

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1))


def read(content: str, name: str, column: str = "text") -> list[str]:
    return list(rows.texts(lambda newline: io.StringIO(content, newline=newline), column, name, f"in/{name}"))


def test_docstring_example_runs() -> None:
    assert doctest.testmod(rows).failed == 0


@given(TEXTS, st.sampled_from([("a.csv", ","), ("a.TSV.gz", "\t"), ("a.csv", ";"), ("export", ",")]))
def test_table_is_read_as_it_was_written(texts: list[str], kind: tuple[str, str]) -> None:
    name, delimiter = kind
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=delimiter).writerows(
        [["id", " text"], *([str(i), one] for i, one in enumerate(texts))]
    )
    assert read(written.getvalue(), name) == texts


@given(TEXTS, st.sampled_from(["a.jsonl", "a.ndjson.gz", "export.json"]), st.booleans())
def test_json_lines_are_read_as_they_were_written(texts: list[str], name: str, ascii_only: bool) -> None:
    lines = [json.dumps({"id": 1, "text": text}, ensure_ascii=ascii_only) for text in texts]
    assert read("\n".join(lines), name) == texts


def test_values_may_be_missing() -> None:
    assert read("id,text\n1\n2,\n\n3,x\n", "a.csv") == ["", "", "x"]
    assert read('{"text": null}\n{"id": 1}\n\n{"text": ""}\n', "a.jsonl") == ["", "", ""]
    assert read("\n\nid,text\n1,x,\n2,y,,\n", "a.csv") == ["x", "y"]
    assert read("", "a.csv") == read("", "a.jsonl") == read("text\n", "a.csv") == []


@pytest.mark.parametrize("first", ["sep=;\n", '"sep=;"\r\n', "SEP=;\n"])
def test_separator_that_excel_declares_is_used(first: str) -> None:
    assert read(f'{first}id;text\n1;"a;b"\n2;c,d\n', "a.csv") == ["a;b", "c,d"]
    assert read("sep=|\nid|text\n1|x\n", "a.csv") == ["x"]
    with pytest.raises(UserError, match="row on line 3 of 'a.csv' cannot be read: it has 3 values for 2 columns"):
        read(f"{first}id;text\n1;x;y\n", "a.csv")


def test_half_a_character_and_nul_of_json_are_replaced() -> None:
    assert read(r'{"text": "a\ud83d b\ud83d\ude00\u0000"}', "a.jsonl") == ["a\ufffd b\U0001f600\ufffd"]


def test_long_cell_is_read() -> None:
    assert read(f"text\n{'x' * 200_000}\n", "a.csv") == ["x" * 200_000]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "id,tweet\n1,x\n", r"no column 'text'; it has 'id', 'tweet'\. .*Received: corpus\.column=text$"),
        ("a.jsonl", '{"id": 1}\n{"Text": "x"}\n', r"no column 'text'; it has 'id', 'Text'\. "),
        ("a.csv", "id,text\n1,x\n2,a,b\n", "row on line 3 of 'a.csv' cannot be read: it has 3 values for 2 columns"),
        ("a.csv", 'id,text\n1,x\n2,"a\nb\n', "row on line 3 of 'a.csv' cannot be read: unexpected end of data"),
        ("a.csv", 'id,text\n1,"x"y\n', "row on line 2 of 'a.csv' cannot be read: ',' expected after '\"'"),
        ("a.jsonl", '{"text": "x"}\n{"text": \n', r"Line 2 of 'a.jsonl' is not valid JSON: .*`sed -i 2d in/a\.jsonl`"),
        ("a.jsonl", '"x"\n', "Line 1 of 'a.jsonl' is not a JSON object"),
        ("a.jsonl", '{"text": 5}\n', "Line 1 of 'a.jsonl' has 'text' that is not a text but 5"),
        ("a.jsonl", '{"text": ' + "[" * 100_000, "is nested too deeply"),
        ("a.json", '[\n{"text": "x"}\n]\n', r"one array\. .*`jq -c '\.\[\]' in/a\.json > lines-a\.jsonl`"),
        ("a.jsonl", '{\n"text": "x"\n}\n', r"several lines each\. .*`jq -c \. in/a\.jsonl > lines-a\.jsonl`"),
        ("a.csv", "text,id,text\nx,1,y\n", "has 2 columns with the name 'text'"),
    ],
)
def test_what_cannot_be_read_is_named(name: str, content: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(content, name)


class Parts(io.BytesIO):
    """A file that is read part by part."""

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert 0 < size <= 1 << 17
        return super().read(size)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize(("name", "row"), [("a.csv", '"one\ntwo, %d"\n'), ("a.jsonl", '{"text": "one\\ntwo, %d"}\n')])
def test_file_is_not_read_as_a_whole(name: str, row: str, compress: Callable[[bytes], bytes]) -> None:
    table = ("text\n" if name == "a.csv" else "") + "".join(row % number for number in range(20_000))
    data = compress(("\ufeff" + table).encode())
    found = list(read_rows(lambda: Parts(data), name, reading=Reading("text")))
    assert (len(found), found[0], found[-1]) == (20_000, "one\ntwo, 0", "one\ntwo, 19999")


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (b"caf\xe9\n" * 2_000, "is not UTF-8 at byte offset 200005"),
        (b"a\0b\n", "looks binary: it contains a NUL character.*at byte offset 200003"),
    ],
)
def test_damage_far_into_a_table_is_located_as_in_a_text(damaged: bytes, message: str) -> None:
    data = b"text\n" + b"0123456789abcde\n" * 12_500 + damaged
    data = data[:200_002] + damaged
    for content in (data, gzip.compress(data)):
        with pytest.raises(UserError, match=message):
            list(read_rows(partial(io.BytesIO, content), "a.csv", reading=Reading("text")))
    with pytest.raises(UserError, match="starts like a gzip file but cannot be decompressed"):
        list(read_rows(lambda: io.BytesIO(gzip.compress(data[:200_000])[:-9]), "a.csv", reading=Reading("text")))


def test_rows_are_cleaned_and_end_with_the_symbol() -> None:
    table = b'\xef\xbb\xbftext\r\n"one\r\ntwo"\r\nthr\x03ee\r\n'
    assert read_document(table, "a.csv", reading=Reading("text")) == "one\ntwo\x03three\x03"
    with pytest.raises(UserError, match="not UTF-8"):
        read_document(b"text\n\xff\n", "a.csv", reading=Reading("text"))
