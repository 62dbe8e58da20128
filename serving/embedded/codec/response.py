"""Responses: from tensors to JSON text, by the rules of TF Serving's `json_tensor.cc`."""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.embedded.codec.request import ROW
from serving.embedded.codec.signature import NUMPY, TensorInfo
from serving.embedded.codec.values import flush_denormals
from serving.embedded.statuses import invalid

_SHORT_DIGITS, _EXACT_DIGITS = 6, {"float": 9, "double": 17}  # significant digits


def text(layout: str, outputs: Mapping[str, NDArray[Any]], infos: Mapping[str, TensorInfo]) -> bytes:
    """Return the JSON text of a response; a single output is written without its name.

    Raises:
      RequestError: an output has a type or a shape that the layout cannot hold.
    """
    literals = {name: iter(values(name, array, infos[name].dtype)) for name, array in outputs.items()}
    if layout == ROW:
        body = f'"predictions": [{", ".join(_rows(outputs, literals))}]'
    else:
        parts = {name: _nest(outputs[name].shape, texts) for name, texts in literals.items()}
        body = f'"outputs": {_object(parts)}'
    return f"{{\n    {body}\n}}".encode("utf-8", "surrogateescape")


def _rows(outputs: Mapping[str, NDArray[Any]], literals: Mapping[str, Iterator[str]]) -> Iterator[str]:
    rows = -1
    for name, array in outputs.items():
        if not array.ndim:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if rows not in (-1, array.shape[0]):
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {array.shape[0]} expecting: {rows}")
        rows = array.shape[0]
    for _ in range(rows):
        yield _object({name: _nest(outputs[name].shape[1:], texts) for name, texts in literals.items()})


def _object(parts: Mapping[str, str]) -> str:
    if len(parts) == 1:
        return next(iter(parts.values()))
    return "{" + ", ".join(f"{json.dumps(name)}: {part}" for name, part in parts.items()) + "}"


def _nest(shape: tuple[int, ...], texts: Iterator[str]) -> str:
    if not shape:
        return next(texts)
    return "[" + ", ".join(_nest(shape[1:], texts) for _ in range(shape[0])) + "]"


def values(name: str, array: NDArray[Any], dtype: str) -> list[str]:
    """Return the values of a tensor as JSON literals, in order."""
    flat = array.reshape(-1)
    if dtype == "string":
        if name.endswith("_bytes"):
            return [f'{{"b64": "{base64.b64encode(value).decode()}"}}' for value in flat]
        return [json.dumps(value.decode("utf-8", "surrogateescape"), ensure_ascii=False) for value in flat]
    if dtype in _EXACT_DIGITS:
        return _decimals(flat, _EXACT_DIGITS[dtype])
    if dtype == "bool":
        return ["true" if value else "false" for value in flat]
    if dtype in NUMPY:  # an integer
        return [str(value) for value in flat.tolist()]
    if not flat.size:
        return []
    raise invalid(f"Failed to write JSON value for tensor type: {dtype}")


def _decimals(flat: NDArray[Any], exact: int) -> list[str]:
    """Write six digits if they parse to the same number, else all; append `.0` to integers."""
    flat = flush_denormals(flat)
    numbers = flat.tolist()
    short = [f"{number:.{_SHORT_DIGITS}g}" for number in numbers]
    with np.errstate(over="ignore"):
        same = np.array(short, np.float64).astype(flat.dtype) == flat
    texts = [text if enough else f"{number:.{exact}g}" for text, enough, number in zip(short, same.tolist(), numbers)]
    return [text if "." in text or "e" in text else _without_point(text) for text in texts]


def _without_point(text: str) -> str:
    names = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    return names.get(text, text + ".0")
