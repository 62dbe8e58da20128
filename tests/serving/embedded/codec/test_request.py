"""From bodies to tensors, compared with TF Serving's rules and, by property, with the standard library."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.embedded.codec.request import COLUMN, ROW, parse, signature_name, tensors
from serving.embedded.codec.signature import TensorInfo
from serving.embedded.statuses import RequestError

TEXT = {"prompt": TensorInfo("string", "DT_STRING", "p:0", (-1,))}
TWO = {"a": TensorInfo("int32", "DT_INT32", "a:0", (-1,)), "b": TensorInfo("float", "DT_FLOAT", "b:0", (-1, -1))}

EIGHTHS = st.integers(-(10**6), 10**6).map(lambda number: number / 8)  # longer decimals may differ in the last bit
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(-(10**6), 10**6).map(lambda n: n / 8)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def rejected(body: bytes) -> str:
    with pytest.raises(RequestError) as caught:
        parse(body)
    assert caught.value.code == "INVALID_ARGUMENT"
    return caught.value.message


@pytest.mark.integration
@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4), st.booleans())
def test_a_body_is_parsed_as_by_the_standard_library(document: dict[str, Any], escaped: bool) -> None:
    text = json.dumps(document, ensure_ascii=escaped)
    np.testing.assert_equal(parse(text.encode()), json.loads(text))


@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_rejected(body: bytes) -> None:
    try:
        document = parse(b'{"x": ' + body)
    except RequestError as error:
        document = {"rejected": error.http}
    assert document == {"rejected": 400} or "x" in document


@given(st.binary(max_size=30).filter(lambda data: not set(data) & set(b'"\\') and min(data, default=32) >= 32))
def test_strings_may_have_any_encoding(data: bytes) -> None:
    text = parse(b'{"x": "' + data + b'"}')["x"]
    assert text.encode("utf-8", "surrogateescape") == data


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"\xef\xbb\xbf", "JSON Parse error: The document is empty"),
        (b"{", "JSON Parse error: Missing a name for object member. at offset: 1"),
        (b'{"a": }', "JSON Parse error: Invalid value. at offset: 6"),
        (b'{"a": "\xff', "JSON Parse error: Missing a closing quotation mark in string."),
        (b'{"a": "\\ud800"}', "surrogate pair in string is invalid"),
        (b'{"a": "\xff\\ud800"}', "surrogate pair in string is invalid"),
        (b'{"a": 1e999}', "Number too big to be stored in double"),
        (b'{"a": ' + b"1" * 5_000 + b"}", "Number too big to be stored in double"),
        (b'{"a": "b\nc"}', "JSON Parse error: Invalid escape character in string. at offset: 8"),
        (b'{"a": "\xff\nc"}', "JSON Parse error: Invalid escape character in string."),
        (b"[1]", "JSON Value: [1] Is not object"),
        (b"null", "JSON Value: null Is not object"),
        (b'{"a": ' + b"[" * 100_000, "nesting too deep"),
    ],
)
def test_bodies_that_are_no_object(body: bytes, expected: str) -> None:
    assert expected in rejected(body)


@pytest.mark.parametrize("rest", [b" ", b"x", b"{}", b'{"b": 2}', b"\xff", b"]"])
def test_bytes_after_the_object_are_ignored(rest: bytes) -> None:
    assert parse(b'\xef\xbb\xbf {"a": 1}' + rest) == {"a": 1}


def test_nan_is_a_number_and_numbers_beyond_a_double_are_rejected() -> None:
    document = parse(b'{"a": 18446744073709551616, "b": 5e-324, "c": NaN, "d": -Infinity}')
    assert (document["a"], document["b"], document["d"]) == (2**64, 5e-324, -np.inf)
    assert np.isnan(document["c"])
    for digits in (400, 5_000):
        assert "too big" in rejected(b'{"a": ' + b"1" * digits + b"}")
    assert parse(b'{"a": ' + b"1" * 305 + b"}") == {"a": pytest.approx(1.1111111111111111e304)}


def test_the_first_of_duplicate_keys_counts() -> None:
    assert parse(b'{"a": 1, "a": 2, "b": {"c": 3, "c": 4}}') == {"a": 1, "b": {"c": 3}}


def test_keys_keep_the_order_of_the_text() -> None:
    assert list(parse(b'{"b": 1, "a": 2, "c": 3, "b": 4}')) == ["b", "a", "c"]


def test_the_name_of_the_signature() -> None:
    assert [signature_name(one) for one in ({}, {"signature_name": ""}, {"signature_name": "x"})] == [
        "serving_default",
        "serving_default",
        "x",
    ]
    with pytest.raises(RequestError, match="'signature_name' key must be a string value"):
        signature_name({"signature_name": 3})


@pytest.mark.integration
@given(st.lists(st.tuples(st.integers(-9, 9), st.lists(st.integers(-9, 9), min_size=2, max_size=2)), min_size=1))
def test_rows_and_columns_are_the_same_tensors(rows: list[tuple[int, list[int]]]) -> None:
    by_row = tensors({"instances": [{"a": a, "b": b} for a, b in rows]}, TWO)
    by_column = tensors({"inputs": {"a": [a for a, _ in rows], "b": [b for _, b in rows], "c": None}}, TWO)
    assert (by_row[0], by_column[0]) == (ROW, COLUMN)
    np.testing.assert_equal(by_row[1], by_column[1])
    assert {name: one.dtype for name, one in by_row[1].items()} == {"a": np.int32, "b": np.float32}


@pytest.mark.parametrize(
    ("document", "shape"),
    [
        ({"instances": ["x"]}, (1,)),
        ({"instances": [{"prompt": "x"}, {"prompt": "y"}]}, (2,)),
        ({"instances": [{"b64": "eA=="}]}, (1,)),
        ({"instances": [["x", "y"]]}, (1, 2)),
        ({"inputs": "x"}, ()),
        ({"inputs": []}, (0,)),
        ({"inputs": {"b64": "eA=="}}, ()),
        ({"inputs": {"prompt": ["x"]}}, (1,)),
    ],
)
def test_a_single_input_needs_no_name(document: dict[str, Any], shape: tuple[int, ...]) -> None:
    assert tensors(document, TEXT)[1]["prompt"].shape == shape


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": [1], "inputs": [1]}, "expecting only one of 'inputs' or 'instances'"),
        ({"instances": {}}, "Expecting 'instances' to be an list/array"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"instances": [1]}, "instances is a plain list, but expecting list of objects"),
        ({"instances": [{"a": 1, "b": [1]}, 2]}, "Expecting object but got list at item 1 of input list"),
        ({"instances": [{"a": 1}]}, "keys must be equal to: a,b"),
        ({"instances": [{"a": 1, "b": [1], "c": 1}]}, "JSON object: does not have named input: c"),
        ({"instances": [{"a": 1, "b": [1]}, {"a": 1, "b": [1, 2]}]}, "Expecting tensor size: 1 but got: 2"),
        ({"instances": [{"a": 1, "b": [1]}, {"a": 1, "b": 1}]}, "Expecting shape [1] but got: []"),
        ({"instances": [{"a": 1.5, "b": [1]}]}, "Failed to process element: 0 key: a of 'instances' list. Error: "),
        ({"inputs": 1}, "inputs is a plain value/list, but expecting an object"),
        ({"inputs": {"a": 1}}, "Missing named input: b in 'inputs' object."),
    ],
)
def test_values_that_do_not_match_two_inputs(document: dict[str, Any], expected: str) -> None:
    with pytest.raises(RequestError) as caught:
        tensors(document, TWO)
    assert expected in caught.value.message
    assert caught.value.http == 400


def test_an_object_among_plain_rows() -> None:
    with pytest.raises(RequestError, match="Expecting value/list but got object at item 1 of input list"):
        tensors({"instances": ["x", {"prompt": "y"}]}, TEXT)
