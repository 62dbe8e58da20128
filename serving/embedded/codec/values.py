"""Conversion of JSON values to tensors, with TF Serving's checks of shape and type."""

import base64
import binascii
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.embedded.codec.signature import NUMPY
from serving.embedded.statuses import RequestError, invalid

_QUOTED_BYTES = 256  # of a value in a message
_MAX_DIMENSIONS = 32  # of a NumPy array; signatures of language models have two or three
_ENCODER = json.JSONEncoder(ensure_ascii=False)
_RANGES = {
    **dict.fromkeys(("int8", "int16", "int32", "uint8"), (-(2**31), 2**31 - 1)),  # as in TF Serving
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}


def flatten(value: Any, dtype: str) -> tuple[list[Any], list[int]]:
    """Flatten nested lists.

    Returns:
      The values in order, and the shape given by the first elements.

    Raises:
      RequestError: the lists are ragged, or a value does not have the type.
    """
    shape: list[int] = []
    inner = value
    while isinstance(inner, list):
        shape.append(len(inner))
        if not inner:
            break
        inner = inner[0]
        if len(shape) >= _MAX_DIMENSIONS:
            raise invalid(f"Encountered list at unexpected level: {len(shape)} expected < {_MAX_DIMENSIONS}")
    values: list[Any] = []
    _fill(value, 0, shape, dtype, values)
    return values, shape


def _fill(value: Any, level: int, shape: list[int], dtype: str, values: list[Any]) -> None:
    rank = len(shape)
    if not isinstance(value, list):
        if level != rank:
            raise invalid(
                f"JSON Value: {quote(value)} found at incorrect level: {level + 1} in the JSON DOM. Expected at level: "
                f"{rank}"
            )
        values += _checked([value], dtype)
        return
    if level >= rank:
        raise invalid(f"Encountered list at unexpected level: {level} expected < {rank}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    if level == rank - 1 and not any(isinstance(item, list) for item in value):
        values += _checked(value, dtype)
    else:
        for item in value:
            _fill(item, level + 1, shape, dtype, values)


def _checked(values: list[Any], dtype: str) -> list[Any]:
    """Check and convert the values; `type()`, not `isinstance`, because JSON's true and false are not numbers."""
    if dtype == "string":
        return [_bytes(value) for value in values]
    kinds = set(map(type, values))
    if dtype in ("float", "double"):
        fits = kinds <= {int, float}
        if fits and int in kinds:
            values = list(map(_float, values))
    elif dtype == "bool":
        fits = kinds <= {bool}
    elif dtype in _RANGES:
        low, high = _RANGES[dtype]
        fits = kinds <= {int} and all(low <= value <= high for value in values)
    else:
        if values and not isinstance(values[0], dict):
            raise RequestError("UNIMPLEMENTED", f"Conversion of JSON Value: {quote(values[0])} to type: {dtype}")
        fits = not values
    if not fits:
        raise _wrong_type(next(value for value in values if not _fits(value, dtype)), dtype)
    return values


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise invalid("JSON Parse error: Number too big to be stored in double.") from None


def _fits(value: Any, dtype: str) -> bool:
    if dtype in _RANGES:
        low, high = _RANGES[dtype]
        return type(value) is int and low <= value <= high
    return type(value) in ((bool,) if dtype == "bool" else (int, float))


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if not isinstance(value, dict):
        raise _wrong_type(value, "string")
    if not is_base64(value):
        raise invalid(f"JSON Value: {quote(value)} not formatted correctly for base64 data")
    return _decode_base64(value["b64"])


def _decode_base64(text: str) -> bytes:
    """Decode the standard alphabet; white space is ignored, and the padding may be missing."""
    text = "".join(text.split())
    bare = text.rstrip("=")
    padding = -len(bare) % 4
    try:
        if len(text) - len(bare) not in (0, padding):
            raise ValueError
        return base64.b64decode(bare + "=" * padding, validate=True)
    except (binascii.Error, ValueError):
        raise invalid("Unable to base64 decode") from None


def array(values: list[Any], dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Make a tensor of checked values; texts are `bytes` in an array of objects."""
    if dtype not in NUMPY:
        return np.empty(shape, dtype)  # without values: JSON cannot hold any of this type
    if dtype == "string":
        tensor = np.empty(len(values), object)
        tensor[:] = values
    elif dtype in ("int8", "int16", "uint8"):
        tensor = np.array(values, np.int64).astype(NUMPY[dtype])  # overflow wraps around, as in TF Serving
    else:
        with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite
            tensor = np.array(values, np.float64 if dtype == "float" else NUMPY[dtype]).astype(NUMPY[dtype])
        if dtype in ("float", "double"):
            tensor = flush_denormals(tensor)
    return tensor.reshape(shape)


def flush_denormals(numbers: NDArray[Any]) -> NDArray[Any]:
    """Replace denormal numbers with zeros of the same sign, as the processor does in TF Serving's threads."""
    denormal = (np.abs(numbers) < np.finfo(numbers.dtype).tiny) & (numbers != 0)
    return np.where(denormal, np.copysign(numbers.dtype.type(0), numbers), numbers) if denormal.any() else numbers


def is_base64(value: Any) -> bool:
    """Return whether the value is `{"b64": TEXT}`."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _wrong_type(value: Any, dtype: str) -> RequestError:
    return invalid(f"JSON Value: {quote(value)} Type: {json_type(value)} is not of expected type: {dtype}")


def json_type(value: Any) -> str:
    """Return the name that TF Serving's messages give to the type of a JSON value."""
    names = {type(None): "Null", bool: str(value), dict: "Object", list: "Array", str: "String"}
    return names.get(type(value), "Number")


def quote(value: Any) -> str:
    """Return a value as quoted in a message, truncated; only the part that is shown is encoded."""
    text, size = "", 0
    try:
        for part in _ENCODER.iterencode(_truncate(value)):
            text += part
            size += len(part)
            if size > _QUOTED_BYTES:
                break
    except RecursionError:
        text += "..."
    data = text.encode("utf-8", "surrogateescape")
    if len(data) <= _QUOTED_BYTES:
        return text
    return data[:_QUOTED_BYTES].decode("utf-8", "ignore") + "..."


def _truncate(value: Any) -> Any:
    return value[: _QUOTED_BYTES + 1] if isinstance(value, (str, list)) else value
