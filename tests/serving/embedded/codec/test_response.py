"""From tensors to the text of a response."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from serving.embedded.codec.request import COLUMN, ROW
from serving.embedded.codec.response import text, values
from serving.embedded.codec.signature import TensorInfo
from serving.embedded.statuses import RequestError


def info(dtype: str) -> TensorInfo:
    return TensorInfo(dtype, f"DT_{dtype.upper()}", "x:0", None)


@pytest.mark.integration
@given(arrays.arrays(np.float32, 5, elements=st.floats(width=32, allow_subnormal=False)))
def test_every_float_is_parsed_back_exactly(numbers: np.ndarray) -> None:
    np.testing.assert_array_equal([np.float32(json.loads(one)) for one in values("x", numbers, "float")], numbers)


@pytest.mark.integration
@given(arrays.arrays(np.float64, 5, elements=st.floats(allow_subnormal=False)))
def test_every_double_is_parsed_back_exactly(numbers: np.ndarray) -> None:
    np.testing.assert_array_equal([json.loads(one) for one in values("x", numbers, "double")], numbers)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1.0, "1.0"),
        (0.1, "0.1"),
        (-0.0, "-0.0"),
        (999999.0, "999999.0"),
        (9e6, "9e+06"),
        (3e-5, "3e-05"),
        (1 / 3, "0.333333343"),
        (16777216.0, "16777216.0"),
        (-1e-40, "-0.0"),  # denormal
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
    ],
)
def test_floats_are_as_short_as_possible(number: float, expected: str) -> None:
    assert values("x", np.float32([number]), "float") == [expected]


@pytest.mark.parametrize(
    ("name", "array", "dtype", "expected"),
    [
        ("x", np.array([2**63 - 1]), "int64", ["9223372036854775807"]),
        ("x", np.array([2**64 - 1], np.uint64), "uint64", ["18446744073709551615"]),
        ("x", np.array([True, False]), "bool", ["true", "false"]),
        ("x", np.array(['é\n"'.encode()], object), "string", ['"é\\n\\""']),
        ("x_bytes", np.array([b"\xff"], object), "string", ['{"b64": "/w=="}']),
        ("x_bytes", np.array([1], np.int32), "int32", ["1"]),
        ("x", np.zeros(0, np.float16), "half", []),
    ],
)
def test_other_types(name: str, array: np.ndarray, dtype: str, expected: list[str]) -> None:
    assert values(name, array, dtype) == expected


def test_a_type_that_json_cannot_hold() -> None:
    for dtype, numpy in (("half", np.float16), ("uint16", np.uint16)):
        with pytest.raises(RequestError, match=f"Failed to write JSON value for tensor type: {dtype}"):
            values("x", np.zeros(1, numpy), dtype)


ONE = {"x": np.arange(4, dtype=np.int32).reshape(2, 2)}
BOTH = ONE | {"y": np.array([b"a", b"b"], object)}
INFOS = {"x": info("int32"), "y": info("string")}


@pytest.mark.parametrize(
    ("layout", "outputs", "expected"),
    [
        (ROW, ONE, {"predictions": [[0, 1], [2, 3]]}),
        (COLUMN, ONE, {"outputs": [[0, 1], [2, 3]]}),
        (ROW, BOTH, {"predictions": [{"x": [0, 1], "y": "a"}, {"x": [2, 3], "y": "b"}]}),
        (COLUMN, BOTH, {"outputs": {"x": [[0, 1], [2, 3]], "y": ["a", "b"]}}),
        (ROW, {"x": np.zeros((0, 3), np.int32)}, {"predictions": []}),
        (COLUMN, {"x": np.int32(3).reshape(())}, {"outputs": 3}),
        (COLUMN, {"x": np.zeros((2, 0), np.int32)}, {"outputs": [[], []]}),
    ],
)
def test_rows_and_columns(layout: str, outputs: dict[str, Any], expected: dict[str, Any]) -> None:
    assert json.loads(text(layout, outputs, INFOS)) == expected


def test_outputs_in_rows_need_a_common_batch_size() -> None:
    with pytest.raises(RequestError, match="Tensor name: x has no shape information"):
        text(ROW, {"x": np.array(3, np.int32)}, INFOS)
    with pytest.raises(RequestError, match="Tensor name: y has inconsistent batch size: 1 expecting: 2"):
        text(ROW, ONE | {"y": np.array([b"a"], object)}, INFOS)


def test_invalid_utf8_is_written_unchanged() -> None:
    assert b'"\xff\xc3\xa9"' in text(ROW, {"y": np.array([b"\xff\xc3\xa9"], object)}, INFOS)
