"""Values, shapes and types of JSON, compared with NumPy and with TF Serving's messages."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from serving.embedded.codec.values import array, flatten, is_base64, quote
from serving.embedded.statuses import RequestError


@pytest.mark.integration
@given(arrays.arrays(np.int64, arrays.array_shapes(min_dims=0, max_dims=4, max_side=4)))
def test_values_and_shape_of_nested_lists_are_those_of_numpy(expected: np.ndarray) -> None:
    values, shape = flatten(expected.tolist(), "int64")
    np.testing.assert_array_equal(array(values, "int64", tuple(shape)), expected)
    assert tuple(shape) == expected.shape


def message(value: Any, dtype: str) -> str:
    with pytest.raises(RequestError) as caught:
        flatten(value, dtype)
    assert caught.value.http == 400
    return caught.value.message


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([[1, 2], [3]], "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ([1, [2]], "Encountered list at unexpected level: 1 expected < 1"),
        ([[1], 2], "found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        ([[[]], [[], []]], "Encountered list at unexpected size: 2 at level: 1 expected size: 1"),
    ],
)
def test_ragged_lists_are_rejected(value: Any, expected: str) -> None:
    assert expected in message(value, "int32")


@pytest.mark.parametrize("depth", [33, 1_000])
def test_nesting_deeper_than_a_tensor_is_rejected(depth: int) -> None:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    assert "unexpected level" in message(value, "int32")


@pytest.mark.parametrize(
    ("dtype", "good", "bad"),
    [
        ("float", [1, 1.5, float("nan"), float("inf"), -0.0], [True, "1", None, [], {}]),
        ("double", [1, 1e300], [False, "x"]),
        ("int32", [0, 2**31 - 1, -(2**31)], [1.0, 2**31, -(2**31) - 1, True, None, "1"]),
        ("int8", [0, 300, 2**31 - 1], [2**31, 1.5]),  # no narrower check, as in TF Serving
        ("int64", [2**63 - 1, -(2**63)], [2**63, -1.0]),
        ("uint32", [0, 2**32 - 1], [-1, 2**32]),
        ("uint64", [2**64 - 1], [-1, 2**64]),
        ("bool", [True, False], [0, 1, "true", None]),
        ("string", ["a", "", {"b64": ""}], [1, None, True]),
    ],
)
def test_which_values_fit_a_type(dtype: str, good: list[Any], bad: list[Any]) -> None:
    assert len(flatten(good, dtype)[0]) == len(good)
    for value in bad:
        if not isinstance(value, list):
            assert f"is not of expected type: {dtype}" in message([good[0], value], dtype)


@pytest.mark.parametrize("value", [1, [1], [[None, {}]]])
def test_types_that_json_cannot_hold_are_not_implemented(value: Any) -> None:
    with pytest.raises(RequestError) as caught:
        flatten(value, "half")
    assert caught.value.http == 501


@pytest.mark.parametrize("value", [{}, [{"x": 1}], [{"b64": ""}, 1]])
def test_an_object_for_a_type_that_json_cannot_hold(value: Any) -> None:
    assert "Type: Object is not of expected type: half" in message(value, "half")


@pytest.mark.integration
@pytest.mark.parametrize("value", [[], [[], []]])
def test_an_empty_list_fits_every_type(value: Any) -> None:
    values, shape = flatten(value, "half")
    tensor = array(values, "half", tuple(shape))
    assert (tensor.dtype, tensor.tolist()) == (np.float16, value)


@pytest.mark.integration
def test_numbers_too_large_or_too_small_for_the_type() -> None:
    np.testing.assert_array_equal(array([1e300, -1e300, 1e-300], "float", (3,)), np.float32([np.inf, -np.inf, 0.0]))
    np.testing.assert_array_equal(array([300, -1], "uint8", (2,)), np.uint8([44, 255]))


@pytest.mark.integration
@pytest.mark.parametrize(("dtype", "denormal", "normal"), [("float", 1e-39, 2e-38), ("double", 1e-310, 3e-308)])
def test_denormal_numbers_are_zero(dtype: str, denormal: float, normal: float) -> None:
    numbers = array([denormal, -denormal, normal, 0.0, float("nan")], dtype, (5,))
    np.testing.assert_array_equal(numbers, np.array([0.0, -0.0, normal, 0.0, np.nan], numbers.dtype))
    assert np.signbit(numbers).tolist() == [False, True, False, False, False]


@given(st.binary(max_size=40), st.booleans(), st.sampled_from(["", " ", "\n"]))
def test_base64_with_and_without_padding(data: bytes, padded: bool, space: str) -> None:
    text = base64.b64encode(data).decode()
    values, _ = flatten([{"b64": space + (text if padded else text.rstrip("="))}], "string")
    assert values == [data]


@pytest.mark.parametrize("text", ["_-8=", "a", "a===", "=", "é", "ab=c", "YQ=", "YQ==="])
def test_invalid_base64(text: str) -> None:
    assert message([{"b64": text}], "string") == "Unable to base64 decode"


@pytest.mark.parametrize("value", [{}, {"b64": 1}, {"b64": "", "x": 1}, {"B64": ""}])
def test_objects_that_only_resemble_base64(value: Any) -> None:
    assert not is_base64(value)
    assert "not formatted correctly for base64 data" in message([value], "string")


def test_invalid_utf8_is_kept() -> None:
    assert flatten([b"\xff a".decode("utf-8", "surrogateescape")], "string")[0] == [b"\xff a"]


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5))
def test_a_short_value_is_quoted_completely(value: Any) -> None:
    if len(json.dumps(value, ensure_ascii=False).encode()) <= 256:
        assert json.loads(quote(value)) == value


@pytest.mark.parametrize("value", ["x" * 10**6, ["é"] * 10**6, {"a": {"b": list(range(10**6))}}, [[[[0] * 999] * 99]]])
def test_a_long_value_is_truncated(value: Any) -> None:
    text = quote(value)
    assert text.endswith("...")
    assert 250 < len(text.encode()) <= 256 + 3


def test_a_deep_value_is_truncated() -> None:
    value: Any = {}
    for _ in range(900):
        value = [value]
    assert quote(value) == "[" * 256 + "..."
