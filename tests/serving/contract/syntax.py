"""The request's JSON text and its top level."""

import json

from tests.serving.contract.case import Case, encode, error, ok, ok_that, predict

_PARSE = "util/json_tensor.cc ParseJson"
_SIGNATURE = "util/json_tensor.cc FillSignature"
_FILL = "util/json_tensor.cc FillPredictRequestFromJson"
_READER = "rapidjson reader.h GenericReader"
_ENCODED = "rapidjson encodedstream.h EncodedInputStream<UTF8<>, MemoryStream>"
_MEMBER = "rapidjson document.h FindMember"

GOOD = ok({"predictions": [3.5]})
_DEEP = 1000


def _broken(id: str, body: bytes, *parts: str, source: str = _READER) -> Case:
    return predict(id, source, body, error(400, "JSON Parse error: ", *parts))


def _not_object(id: str, body: bytes) -> Case:
    return predict(id, _PARSE, body, error(400, "Is not object"))


CASES = [
    _broken("body-empty", b"", "The document is empty", source=_PARSE),
    _broken("body-blank", b"  \r\n\t", "The document is empty", "at offset: "),
    _broken("body-word", b"hello", "Invalid value.", "at offset: 0"),
    _broken("body-truncated-object", b'{"instances": [1.0]', "at offset: "),
    _broken("body-truncated-array", b'{"instances": [1.0', "at offset: "),
    _broken("body-truncated-string", b'{"instances": ["a', "Missing a closing quotation mark in string."),
    _broken("body-trailing-comma", b'{"instances": [1.0,]}'),
    _broken("body-comma-after-member", b'{"instances": [1.0],}', "Missing a name for object member."),
    _broken("body-no-colon", b'{"instances" [1.0]}', "Missing a colon after a name of object member."),
    _broken("body-no-comma", b'{"instances": [1.0 2.0]}', "Missing a comma or ']' after an array element."),
    _broken("body-no-comma-member", b'{"a": 1 "instances": [1.0]}', "Missing a comma or '}' after an object member."),
    _broken("body-single-quotes", b"{'instances': [1.0]}", "Missing a name for object member."),
    _broken("body-comment", b'{/* no */"instances": [1.0]}'),
    _broken("body-bad-escape", rb'{"instances": ["\x41"]}', "Invalid escape character in string."),
    _broken("body-bad-hex", rb'{"instances": ["\u12G4"]}', "Incorrect hex digit after \\u escape in string."),
    _broken("body-lone-high-surrogate", rb'{"instances": ["\ud800x"]}', "The surrogate pair in string is invalid."),
    _broken("body-wrong-surrogates", rb'{"instances": ["\ud800\ud800"]}', "The surrogate pair in string is invalid."),
    _broken("body-newline-in-string", b'{"instances": ["a\nb"]}', "Invalid escape character in string."),
    _broken("body-nul-in-string", b'{"instances": ["a\0b"]}'),
    _broken("body-python-none", b'{"instances": [None]}'),
    _broken("body-lower-nan", b'{"instances": [nan]}', "Invalid value."),
    _broken("body-plus-number", b'{"instances": [+1.0]}', "Invalid value."),
    _broken("body-leading-zero", b'{"instances": [01]}', "Missing a comma or ']' after an array element."),
    _broken("body-point-only", b'{"instances": [1.]}', "Miss fraction part in number."),
    _broken("body-exponent-only", b'{"instances": [1e]}', "Miss exponent in number."),
    _broken("body-hexadecimal", b'{"instances": [0x10]}'),
    _broken("body-too-large-for-double", b'{"instances": [1e400]}', "Number too big to be stored in double."),
    _broken("body-long-integer", b'{"instances": [' + b"9" * 400 + b"]}", "Number too big to be stored in double."),
    _not_object("top-array", b"[1.0, 2.0]"),
    _not_object("top-number", b"1.5"),
    _not_object("top-string", b'"instances"'),
    _not_object("top-null", b"null"),
    _not_object("top-nan", b"NaN"),
    predict("top-empty-object", _FILL, b"{}", error(400, "Missing 'inputs' or 'instances' key")),
    predict("top-no-values", _FILL, {"signature_name": "serving_default"},
            error(400, "Missing 'inputs' or 'instances' key")),
    predict("top-wrong-case", _FILL, {"Instances": [1.0]}, error(400, "Missing 'inputs' or 'instances' key")),
    predict("top-both", _FILL, {"inputs": [1.0], "instances": [1.0]},
            error(400, "Not formatted correctly expecting only", "one of")),
    predict("top-unknown-keys", _FILL, {"extra": {"a": [1]}, "instances": [1.0], "z": None}, GOOD),
    predict("top-first-of-two", _MEMBER, b'{"instances": [1.0], "instances": [2.0]}', GOOD),
    predict("top-byte-order-mark", _ENCODED, b"\xef\xbb\xbf" + encode({"instances": [1.0]}), GOOD),
    predict("top-spaces", _READER, b' \n\r\t{ "instances" : [ 1.0 ] } \n', GOOD),
    predict("top-escaped-key", _READER, rb'{"inst\u0061nces": [1.0]}', GOOD),
    # 2.20 stops after the object; 2.16 rejects further bytes.
    predict("top-bytes-after", _PARSE, b'{"instances": [1.0]} and more', GOOD, error(400, "JSON Parse error: ")),
    predict("top-two-objects", _PARSE, b'{"instances": [1.0]}{"instances": [2.0]}', GOOD,
            error(400, "JSON Parse error: ")),
    predict("top-deep-unknown", _PARSE, b'{"x": ' + b"[" * _DEEP + b"]" * _DEEP + b', "instances": [1.0]}', GOOD),
    # A tensor has at most 254 dimensions.
    predict("top-deep-value", "tensorflow core/framework/tensor_shape.h MaxDimensions",
            b'{"inputs": ' + b"[" * _DEEP + b"1" + b"]" * _DEEP + b"}", error(400)),
    predict("top-large", _PARSE, json.dumps({"pad": "x" * 1_000_000, "instances": [1.0]}).encode(), GOOD),
    predict("signature-missing", _SIGNATURE, {"instances": [1.0]}, GOOD),
    predict("signature-empty", "model_servers/http_rest_api_handler.cc GetInfoMap",
            {"signature_name": "", "instances": [1.0]}, GOOD),
    predict("signature-named", _SIGNATURE, {"signature_name": "serving_default", "instances": [1.0]}, GOOD),
    *(
        predict(f"signature-{name}", _SIGNATURE, {"signature_name": value, "instances": [1.0]},
                error(400, "'signature_name' key must be a string value."))
        for name, value in {"null": None, "number": 1, "list": ["serving_default"], "object": {}, "true": True}.items()
    ),
    predict("content-type-ignored", "model_servers/http_server.cc ProcessRequest", {"instances": [1.0]}, GOOD,
            headers=(("Content-Type", "text/plain; charset=latin-1"),)),
    predict("content-type-form", "model_servers/http_server.cc ProcessRequest", {"instances": [1.0]}, GOOD,
            headers=(("Content-Type", "application/x-www-form-urlencoded"),)),
    predict("unicode-unvalidated", _READER, b'{"x": "\xff\xfe", "instances": [1.0]}', GOOD),
    predict("unicode-key", _READER, {"日本": "😀", "instances": [1.0]},
            ok_that("3.5", lambda v: v == {"predictions": [3.5]})),
]  # fmt: skip
