"""Requests: from JSON text to tensors, by the rules of TF Serving's `json_tensor.cc`.

python-rapidjson wraps TF Serving's parser, so the texts and the offsets of errors are the same.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import rapidjson
from numpy.typing import NDArray

from serving.embedded.codec.signature import TensorInfo
from serving.embedded.codec.values import array, flatten, is_base64, quote
from serving.embedded.statuses import RequestError, invalid

ROW, COLUMN = "row", "column"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HUGE = re.compile(rb"[0-9]{300}")  # digits of a number that may exceed a double
# Newer RapidJSON reports a control character in a string in other words than TF Serving's.
_TEXTS = {"Invalid encoding in string.": "Invalid escape character in string."}
# Bytes that are not UTF-8 pass through the parser as characters of Unicode's private use area.
_TO_PRIVATE_USE = {0xDC00 + byte: 0x10FF00 + byte for byte in range(0x80, 0x100)}
_FROM_PRIVATE_USE = {private: escape for escape, private in _TO_PRIVATE_USE.items()}


def parse(body: bytes) -> dict[str, Any]:
    """Parse the JSON object of a request; bytes after the object are ignored.

    Raises:
      RequestError: the body is not JSON, or not an object.
    """
    body = body.removeprefix(_BYTE_ORDER_MARK)
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document = _load(body)
    except rapidjson.JSONDecodeError as error:
        offset, text = _split(str(error))
        raise invalid(f"JSON Parse error: {text} at offset: {offset}") from None
    except RecursionError:
        raise invalid("JSON Parse error: Terminate parsing due to nesting too deep at offset: 0") from None
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {quote(document)} Is not object")
    return document


def _load(body: bytes) -> Any:
    strict, lenient = _NATIVE if _HUGE.search(body) else _EXACT
    try:
        return _first_value(body, strict)
    except UnicodeDecodeError:  # TF Serving does not check the encoding inside of strings
        return _first_value(body.decode("utf-8", "surrogateescape").translate(_TO_PRIVATE_USE).encode(), lenient)


def _first_value(body: bytes, decoder: Any) -> Any:
    try:
        return decoder(body)
    except rapidjson.JSONDecodeError as error:
        offset, text = _split(str(error))
        if "must not be followed by other values" not in text:
            raise
        return decoder(body[:offset])


class _Decoder(rapidjson.Decoder):
    """Keeps the first of duplicate keys, as RapidJSON's `FindMember` does."""

    def start_object(self) -> list[tuple[str, Any]]:
        return []

    def end_object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        last = dict(pairs)  # in the order of the text, which messages show
        return last if len(last) == len(pairs) else last | dict(reversed(pairs))


class _LenientDecoder(_Decoder):
    """Restores the bytes that are not UTF-8."""

    def string(self, text: str) -> str:
        return text.translate(_FROM_PRIVATE_USE)


def _decoders(mode: int) -> tuple[Any, Any]:
    return _Decoder(number_mode=mode), _LenientDecoder(number_mode=mode)


_EXACT = _decoders(rapidjson.NM_NAN)  # reads each float to its last bit
_NATIVE = _decoders(rapidjson.NM_NAN | rapidjson.NM_NATIVE)  # reports numbers that are too big


def _split(error: str) -> tuple[int, str]:
    found = re.fullmatch(r"Parse error at offset (\d+): (.*)", error, re.DOTALL)
    return (int(found[1]), _TEXTS.get(found[2], found[2])) if found else (0, error)


def signature_name(document: Mapping[str, Any]) -> str:
    """Return the name of the requested signature.

    Raises:
      RequestError: the name is not a string.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {quote(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name or "serving_default"


def tensors(document: Mapping[str, Any], inputs: Mapping[str, TensorInfo]) -> tuple[str, dict[str, NDArray[Any]]]:
    """Convert a request to tensors.

    Returns:
      `ROW` or `COLUMN`, and arrays by name; texts are `bytes` in arrays of objects.

    Raises:
      RequestError: the values do not match the inputs of the signature.
    """
    if "instances" in document and "inputs" in document:
        raise invalid(
            f"JSON Value: {quote(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' keys "
            "to exist "
        )
    if "instances" in document:
        rows = document["instances"]
        if not isinstance(rows, list):
            raise invalid(f"JSON Value: {quote(document)} Expecting 'instances' to be an list/array")
        if not rows:
            raise invalid(f"JSON Value: {quote(document)} No values in 'instances' array")
        return ROW, _rows(rows, inputs)
    if "inputs" in document:
        return COLUMN, _columns(document["inputs"], inputs)
    raise invalid("Missing 'inputs' or 'instances' key")


def _rows(rows: list[Any], inputs: Mapping[str, TensorInfo]) -> dict[str, NDArray[Any]]:
    if not isinstance(rows[0], dict) and len(inputs) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    objects = _is_object(rows[0])
    flat: dict[str, list[Any]] = {name: [] for name in inputs}
    shapes: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        if objects != _is_object(row):
            wanted, got = ("object", "list") if objects else ("value/list", "object")
            raise invalid(f"Expecting {wanted} but got {got} at item {number} of input list")
        items = row.items() if objects else ((next(iter(inputs)), row),)
        for name, value in items:
            try:
                _add(value, name, inputs, flat, shapes)
            except RequestError as error:
                key = f" key: {name}" if objects else ""
                raise error.prefixed(f"Failed to process element: {number}{key} of 'instances' list. Error: ") from None
        if objects and row.keys() != inputs.keys():
            raise invalid(
                f"Failed to process element: {number} of 'instances' list. JSON object: {quote(row)} keys must be "
                f"equal to: {','.join(sorted(inputs))}"
            )
    return {name: array(flat[name], inputs[name].dtype, (len(rows), *shape)) for name, shape in shapes.items()}


def _add(
    value: Any,
    name: str,
    inputs: Mapping[str, TensorInfo],
    flat: dict[str, list[Any]],
    shapes: dict[str, list[int]],
) -> None:
    if name not in inputs:
        raise invalid(f"JSON object: does not have named input: {name}")
    values, shape = flatten(value, inputs[name].dtype)
    first = shapes.setdefault(name, shape)
    size = math.prod(first)
    if len(values) != size:
        raise invalid(f"Expecting tensor size: {size} but got: {len(values)}")
    if shape != first:
        raise invalid(f"Expecting shape {_shape(first)} but got: {_shape(shape)}")
    flat[name] += values


def _columns(value: Any, inputs: Mapping[str, TensorInfo]) -> dict[str, NDArray[Any]]:
    if not _is_object(value):
        if len(inputs) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        value = {next(iter(inputs)): value}
    arrays = {}
    for name, info in inputs.items():
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        values, shape = flatten(value[name], info.dtype)
        arrays[name] = array(values, info.dtype, tuple(shape))
    return arrays


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _shape(shape: list[int]) -> str:
    return f"[{','.join(map(str, shape))}]"
