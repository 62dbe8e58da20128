"""Data types, numbers, strings and base64 in both directions."""

from typing import Any

from tests.serving.contract.case import Answer, Case, error, ok, ok_raw, ok_tokens, predict

_ADD = "util/json_tensor.cc AddValueToTensor"
_FILL = "util/json_tensor.cc FillTensorProto"
_WRITE = "util/json_tensor.cc AddSingleValueAndAdvance"
_DECIMAL = "util/json_tensor.cc WriteDecimal"
_NUMBER = "rapidjson reader.h ParseNumber"
_BASE64 = "util/json_tensor.cc JsonDecodeBase64Object"
_UNESCAPE = "absl/strings/escaping.cc Base64Unescape"
_BYTES = "util/json_tensor.cc IsNamedTensorBytes"
_CAST = "tensorflow core/framework/tensor.cc FromProtoField"
_THREADS = "tensorflow core/platform/denormal.h ScopedFlushDenormal, in each thread of a pool"
INFINITY, NAN = float("inf"), float("nan")


def _echo(dtype: str, id: str, value: Any, *, back: Any = None, source: str = _ADD) -> Case:
    """`value`, JSON or bytes of JSON, is returned as `back`, default: unchanged."""
    text = value if isinstance(value, bytes) else None
    answer = ok({"outputs": [value if back is None else back]})
    return _echo_answers(dtype, id, value if text is None else text, answer, source=source)


def _echo_answers(dtype: str, id: str, value: Any, *answers: Answer, source: str = _ADD) -> Case:
    if isinstance(value, bytes):
        body: Any = b'{"signature_name": "echo_' + dtype.encode() + b'", "inputs": [' + value + b"]}"
        return predict(f"{dtype}-{id}", source, body, *answers)
    return predict(f"{dtype}-{id}", source, {"inputs": [value]}, *answers, signature=f"echo_{dtype}")


def _refused(dtype: str, id: str, value: Any, kind: str = "Number") -> Case:
    said = "int32" if dtype in () else dtype
    return _echo_answers(dtype, id, value, error(400, f"Type: {kind} is not of expected type: {said}"))


def _token(dtype: str, value: bytes, written: bytes) -> Case:
    id = f"written-{value.decode()}"
    return _echo_answers(dtype, id, value, ok_tokens({"outputs": [written.decode()]}), source=_DECIMAL)


FLOATS = [
    _echo("float", "point", 0.5),
    _echo("float", "from-int", b"3", back=3.0),
    _echo("float", "negative", -2.25),
    _echo("float", "negative-zero", b"-0.0", back=-0.0),
    _echo("float", "exponent", b"1.5E+3", back=1500.0),
    _echo("float", "nan", b"NaN", back=NAN, source=_NUMBER),
    _echo("float", "infinity", b"Infinity", back=INFINITY, source=_NUMBER),
    _echo("float", "infinity-short", b"Inf", back=INFINITY, source=_NUMBER),
    _echo("float", "infinity-negative", b"-Infinity", back=-INFINITY, source=_NUMBER),
    _echo("float", "infinity-negative-short", b"-Inf", back=-INFINITY, source=_NUMBER),
    _echo("float", "overflow", b"1e39", back=INFINITY),
    _echo("float", "overflow-negative", b"-1e39", back=-INFINITY),
    _echo("float", "underflow", b"1e-60", back=0.0),
    _echo("float", "large-int-rounded", b"16777217", back=16777216.0),
    _echo("float", "int64-max", b"9223372036854775807", back=9.22337204e18),
    _echo("float", "uint64-max", b"18446744073709551615", back=1.84467441e19),
    _echo("float", "larger-than-uint64", b"100000000000000000000", back=1e20),
    # The processor flushes denormal numbers to zero in TF Serving's threads.
    *(_echo(dtype, id, value, back=back, source=_THREADS) for dtype, id, value, back in (
        ("float", "denormal", b"1e-45", 0.0), ("float", "denormal-negative", b"-1e-39", -0.0),
        ("float", "small-normal", b"2e-38", 2e-38), ("double", "denormal", b"5e-324", 0.0),
        ("double", "denormal-negative", b"-1e-310", -0.0))),
    _echo("double", "tenth", 0.1),
    _echo("double", "from-int", b"-7", back=-7.0),
    _echo("double", "nan", b"NaN", back=NAN, source=_NUMBER),
    _echo("double", "infinity-negative", b"-Infinity", back=-INFINITY, source=_NUMBER),
    _echo("double", "large", b"1e300", back=1e300),
    _echo("double", "underflow", b"1e-400", back=0.0, source=_NUMBER),
    _token("float", b"1", b"1.0"),
    _token("float", b"999999", b"999999.0"),
    _token("float", b"9000000", b"9e+06"),
    _token("float", b"0.00003", b"3e-05"),
    _token("float", b"0.2", b"0.2"),
    _token("float", b"0.1234567", b"0.123456702"),
    _token("float", b"16777216", b"16777216.0"),
    _token("float", b"0.333333333333", b"0.333333343"),
    _token("double", b"0.1", b"0.1"),
    _token("double", b"0.30000000000000004", b"0.30000000000000004"),
    _token("double", b"3.141592653589793", b"3.1415926535897931"),
    _token("double", b"123456789", b"123456789.0"),
    _token("float", b"NaN", b"NaN"),
    _token("float", b"-Infinity", b"-Infinity"),
    *(_refused("float", f"is-{kind.lower()}", value, kind)
      for value, kind in (("1", "String"), (None, "Null"), (True, "True"), (False, "False"), ({}, "Object"))),
    _refused("double", "is-string", "NaN", "String"),
]  # fmt: skip
INTEGERS = [
    *(_echo(dtype, id, value) for dtype, id, value in (
        ("int32", "largest", 2**31 - 1), ("int32", "smallest", -(2**31)), ("int8", "smallest", -128),
        ("int16", "largest", 32767), ("uint8", "largest", 255), ("int64", "largest", 2**63 - 1),
        ("int64", "smallest", -(2**63)), ("int64", "beyond-double", 2**53 + 1), ("uint32", "largest", 2**32 - 1),
        ("uint64", "largest", 2**64 - 1), ("int32", "zero", 0), ("uint64", "zero", 0))),
    _echo("uint8", "wraps", 300, back=44, source=_CAST),
    _echo("int8", "wraps", 200, back=-56, source=_CAST),
    _echo("int16", "wraps", 40000, back=-25536, source=_CAST),
    *(_refused(dtype, id, value) for dtype, id, value in (
        ("int32", "too-large", 2**31), ("int32", "too-small", -(2**31) - 1), ("int32", "is-whole-float", 1.0),
        ("int32", "is-float", 1.5), ("int32", "is-nan", NAN), ("int32", "is-exponent", b"1e2"),
        ("int64", "too-large", 2**63), ("int64", "too-small", -(2**63) - 1), ("int64", "is-whole-float", 1.0),
        ("int64", "beyond-uint64", 2**64), ("uint32", "negative", -1), ("uint32", "too-large", 2**32),
        ("uint64", "negative", -1), ("uint64", "too-large", 2**64), ("uint8", "beyond-int32", 2**31))),
    _refused("int32", "is-true", True, "True"),
    _refused("int64", "is-string", "1", "String"),
    _refused("int64", "is-null", None, "Null"),
]  # fmt: skip
OTHERS = [
    predict("bool-both", _ADD, {"inputs": [True, False]}, ok({"outputs": [True, False]}), signature="echo_bool"),
    _refused("bool", "is-1", 1),
    _refused("bool", "is-string", "true", "String"),
    _echo_answers("half", "input", 1.5, error(501, "half"), source=_ADD),
    _echo_answers("half", "object", {"x": 1.5}, error(400, "Type: Object is not of expected type: half"), source=_FILL),
    predict("half-row-object", _FILL, {"instances": [{"x": {"y": 1.5}}]},
            error(400, "Failed to process element: 0 key: x", "Type: Object is not of expected type: half"),
            signature="echo_half"),
    predict("half-empty", _FILL, {"inputs": []}, ok({"outputs": []}), signature="echo_half"),
    predict("half-output", _WRITE, {"instances": [1.5]}, error(400, "Failed to write JSON value for tensor type: half"),
            signature="half_output"),
    predict("half-output-columns", _WRITE, {"inputs": [1.5]},
            error(400, "Failed to write JSON value for tensor type: half"), signature="half_output"),
]  # fmt: skip
STRINGS = [
    *(_echo("string", id, value) for id, value in {
        "empty": "", "ascii": "hello", "accents": "é ü ñ", "cjk": "日本語", "emoji": "😀👩‍👩‍👧", "quotes": '"\\/',
        "controls": "\b\f\n\r\t\x01\x1f\x7f", "nul": "a\0b", "separators": "\u2028\u2029\ufeff", "last": "\U0010ffff",
        "noncharacter": "\uffff", "combining": "e\u0301", "right-to-left": "שלום", "space": "  \t ", "html": "<b>&</b>",
    }.items()),
    _echo("string", "long", "abc é😀" * 20_000),
    _echo("string", "escaped", rb'"\u00e9\ud83d\ude00\n\u0000"', back="é😀\n\0"),
    _echo("string", "escaped-slash", rb'"\/"', back="/"),
    _echo_answers("string", "not-escaped-on-output", "é😀/",
                  ok_raw('"é😀/"'.encode()), source=_WRITE),
    _echo_answers("string", "newline-escaped-on-output", "a\nb\0",
                  ok_raw(rb'"a\nb\u0000"'), source=_WRITE),
    _echo_answers("string", "invalid-utf8-raw", {"b64": "/w=="}, ok_raw(b'"\xff"'), source=_WRITE),
    _echo_answers("string", "invalid-utf8-unvalidated", b'"a\xffb"', ok_raw(b'"a\xffb"'), source=_WRITE),
    *(_refused("string", f"is-{kind.lower()}", value, kind)
      for value, kind in ((1, "Number"), (None, "Null"), (True, "True"))),
    _refused("string", "is-float", 1.5),
]  # fmt: skip


def _decoded(id: str, encoded: str, text: str, source: str = _UNESCAPE) -> Case:
    return _echo_answers("string", f"b64-{id}", {"b64": encoded}, ok({"outputs": [text]}), source=source)


def _undecodable(id: str, encoded: str) -> Case:
    return _echo_answers(
        "string", f"b64-{id}", {"b64": encoded}, error(400, "Unable to base64 decode"), source=_UNESCAPE
    )


def _malformed(id: str, value: Any) -> Case:
    return _echo_answers(
        "string", f"b64-{id}", value, error(400, "not formatted correctly for base64 data"), source=_BASE64
    )


BASE64 = [
    _decoded("plain", "aGVsbG8=", "hello"),
    _decoded("empty", "", ""),
    _decoded("unicode", "w6nwn5iA", "é😀"),
    _decoded("nul", "YQBi", "a\0b"),
    _decoded("unpadded", "aGVsbG8", "hello"),
    _decoded("white-space", "aGVs\nbG8=", "hello"),
    _decoded("plus-and-slash", "fn4+fn4/", "~~>~~?"),
    _undecodable("web-safe", "fn4-fn4_"),
    _undecodable("one-character", "a"),
    _undecodable("half-padding", "YQ="),
    _undecodable("other-characters", "aGVs*G8="),
    _undecodable("padding-first", "=aGV"),
    _malformed("number", {"b64": 1}),
    _malformed("two-keys", {"b64": "YQ==", "x": 1}),
    _malformed("other-key", {"B64": "YQ=="}),
    _malformed("no-key", {}),
    predict("b64-row", _BASE64, {"instances": [{"b64": "YQ=="}, "b"]}, ok({"predictions": ["a", "b"]}),
            signature="echo_string"),
    predict("b64-row-list", _BASE64, {"instances": [[{"b64": "YQ=="}, "b"]]}, ok({"predictions": [["a", "b"]]}),
            signature="echo_string"),
    predict("b64-row-named", _BASE64, {"instances": [{"x": {"b64": "YQ=="}}]}, ok({"predictions": ["a"]}),
            signature="echo_string"),
    predict("b64-row-number", _BASE64, {"instances": [{"b64": 1}]},
            error(400, "Failed to process element: 0 key: b64", "does not have named input: b64"),
            signature="echo_string"),
    predict("b64-column-bare", _BASE64, {"inputs": {"b64": "YQ=="}}, ok({"outputs": "a"}), signature="echo_string"),
    predict("b64-column-number", _BASE64, {"inputs": {"b64": 1}}, error(400, "Missing named input: x"),
            signature="echo_string"),
    predict("bytes-row", _BYTES, {"instances": ["a", {"b64": "/w=="}, ""]},
            ok({"predictions": [{"b64": "YQ=="}, {"b64": "/w=="}, {"b64": ""}]}), signature="bytes"),
    predict("bytes-column", _BYTES, {"inputs": [["a"], ["é"]]}, ok({"outputs": [[{"b64": "YQ=="}], [{"b64": "w6k="}]]}),
            signature="bytes"),
    predict("bytes-scalar", _BYTES, {"inputs": "a"}, ok({"outputs": {"b64": "YQ=="}}), signature="bytes"),
    predict("bytes-and-text-row", _BYTES, {"instances": ["a"]},
            ok({"predictions": [{"text": "a", "raw_bytes": {"b64": "YQ=="}}]}), signature="text_and_bytes"),
    predict("bytes-and-text-column", _BYTES, {"inputs": ["a"]},
            ok({"outputs": {"text": ["a"], "raw_bytes": [{"b64": "YQ=="}]}}), signature="text_and_bytes"),
]  # fmt: skip
CASES = FLOATS + INTEGERS + OTHERS + STRINGS + BASE64
