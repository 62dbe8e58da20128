"""Round trips of numbers, strings and bytes through JSON and a model that echoes its input.

Strings and base64 must be returned exactly, and so must numbers in the range of the data type, in the format of TF
Serving (util/json_tensor.cc WriteDecimal). Hypothesis generates the same values in every run.
"""

import base64
import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.serving.contract import wire
from tests.serving.contract.case import CONTRACT, encode

pytestmark = pytest.mark.integration

FEW = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
# Lists, so that one request tests many values.
BITS32 = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=30)
BITS64 = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=30)
INTEGERS = {
    "int8": (-(2**7), 2**7 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint8": (0, 2**8 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def echoed(server: wire.Server, signature: str, values: bytes, **parse: Any) -> list[Any]:
    """The values that the server returns for a JSON list."""
    body = b'{"signature_name": "' + signature.encode() + b'", "inputs": ' + values + b"}"
    response = server.send("POST", f"{CONTRACT}:predict", body)
    assert response.status == 200, response.text()
    outputs: list[Any] = json.loads(response.body, **parse)["outputs"]
    return outputs


def token(value: float, digits: int) -> str:
    """A float (9 digits) or double (17) in TF Serving's format: six digits if they parse to the same number.

    Denormal numbers become zero: the processor flushes them in TF Serving's threads.
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    kind = np.float32 if digits == 9 else np.float64
    if abs(value) < np.finfo(kind).tiny:
        value = math.copysign(0.0, value)
    with np.errstate(over="ignore"):
        text = f"{value:.6g}" if kind(f"{value:.6g}") == value else f"{value:.{digits}g}"
    return text if "." in text or "e" in text else f"{text}.0"


def check_floats(server: wire.Server, signature: str, values: list[float], digits: int) -> None:
    sent = ", ".join(json.dumps(value) for value in values).encode()
    tokens = echoed(server, signature, b"[" + sent + b"]", parse_float=str, parse_int=str, parse_constant=str)
    expected = [token(value, digits) for value in values]
    if server.pid is None and digits == 17:
        # rapidjson's default parser of doubles has an error of up to 3 units in the last place.
        np.testing.assert_allclose(list(map(float, tokens)), list(map(float, expected)), rtol=1e-15)
    else:
        assert tokens == expected


@FEW
@given(BITS32)
@example([0x80000000, 1, 0x7F7FFFFF, 0xFF800000, 0x7FC00000, 0x33D6BF95, 0x4B7FFFFF, 0x4B800000])
def test_any_float32_comes_back(server: wire.Server, bits: list[int]) -> None:
    check_floats(server, "echo_float", [struct.unpack("<f", struct.pack("<I", b))[0] for b in bits], 9)


@FEW
@given(BITS64)
@example([1 << 63, 1, 0x7FEFFFFFFFFFFFFF, 0xFFF0000000000000, 0x7FF8000000000000, 0x3FB999999999999A])
def test_any_float64_comes_back(server: wire.Server, bits: list[int]) -> None:
    check_floats(server, "echo_double", [struct.unpack("<d", struct.pack("<Q", b))[0] for b in bits], 17)


@FEW
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_a_decimal_is_rounded_to_the_nearest_float(server: wire.Server, values: list[float]) -> None:
    # Decimals between two floats must be rounded to float32 as by NumPy.
    sent = [value * (1 + 2.0**-26) for value in values]
    with np.errstate(over="ignore"):
        nearest = np.array(sent, np.float32)
    nearest[np.abs(nearest) < np.finfo(np.float32).tiny] = 0.0
    got = echoed(server, "echo_float", json.dumps(sent).encode())
    np.testing.assert_array_equal(np.array(got, np.float32), nearest)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_any_integer_comes_back(server: wire.Server, dtype: str) -> None:
    low, high = INTEGERS[dtype]

    @FEW
    @given(st.lists(st.integers(low, high), min_size=1, max_size=30))
    @example([low, high])
    def check(values: list[int]) -> None:
        got = echoed(server, f"echo_{dtype}", json.dumps(values).encode())
        assert got == values
        assert all(type(value) is int for value in got)

    check()


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32", "uint64"])
def test_integers_out_of_range_are_rejected(server: wire.Server, dtype: str) -> None:
    low, high = INTEGERS[dtype]

    @FEW
    @given(st.one_of(st.integers(max_value=low - 1), st.integers(min_value=high + 1)))
    @example(low - 1)
    @example(high + 1)
    def check(value: int) -> None:
        response = server.send(
            "POST", f"{CONTRACT}:predict", encode({"signature_name": f"echo_{dtype}", "inputs": [value]})
        )
        assert response.status == 400
        assert f"is not of expected type: {dtype}" in response.json()["error"]

    check()


@FEW
@given(st.lists(TEXT, min_size=1, max_size=20), st.booleans())
@example(["\0", "\x1f\x7f\x80", '"\\/', "\u2028", "\ufeff", "\ufffe\uffff", "\U0010ffff", "e\u0301", ""], True)
def test_any_string_comes_back(server: wire.Server, texts: list[str], escaped: bool) -> None:
    sent = json.dumps(texts, ensure_ascii=True).encode() if escaped else encode(texts)
    assert echoed(server, "echo_string", sent) == texts


@FEW
@given(st.lists(TEXT, min_size=1, max_size=20))
def test_base64_encodes_a_string(server: wire.Server, texts: list[str]) -> None:
    sent = [{"b64": base64.b64encode(text.encode()).decode()} for text in texts]
    assert echoed(server, "echo_string", encode(sent)) == texts


@FEW
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=20))
@example([bytes(range(256)), b"", b"\xff"])
def test_any_bytes_come_back_as_base64(server: wire.Server, values: list[bytes]) -> None:
    sent = [{"b64": base64.b64encode(value).decode()} for value in values]
    assert echoed(server, "bytes", encode(sent)) == sent


@FEW
@given(st.binary(max_size=40))
@example(b"\xff\xfe")
def test_invalid_utf8_is_not_changed(server: wire.Server, value: bytes) -> None:
    """Also in an output that should be text: only the characters that JSON requires are escaped."""
    sent = {"signature_name": "echo_string", "inputs": [{"b64": base64.b64encode(value).decode()}]}
    response = server.send("POST", f"{CONTRACT}:predict", encode(sent))
    assert response.status == 200
    content = json.loads(response.body.decode("utf-8", "surrogateescape"))
    assert content["outputs"][0].encode("utf-8", "surrogateescape") == value


SHAPES = st.lists(st.integers(0, 4), min_size=0, max_size=4)


@FEW
@given(SHAPES)
@example([])
@example([3, 0, 2])
def test_any_shape_comes_back(server: wire.Server, shape: list[int]) -> None:
    # An empty list has no inner dimensions.
    if 0 in shape:
        shape = shape[: shape.index(0) + 1]
    value = np.arange(math.prod(shape)).reshape(shape).tolist()
    assert echoed(server, "echo_int32", encode(value)) == value
    rows = server.send(
        "POST", f"{CONTRACT}:predict", encode({"signature_name": "echo_int32", "instances": [value] * 2})
    )
    assert rows.json() == {"predictions": [value] * 2}
