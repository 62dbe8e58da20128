"""From tensors to the text of an answer, by the rules of TF Serving's `json_tensor.cc`."""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.embedded.codec.request import ROW
from serving.embedded.codec.signature import TensorInfo
from serving.embedded.statuses import invalid

_SHORT, _EXACT = 6, {"float": 9, "double": 17}  # significant digits


def text(layout: str, outputs: Mapping[str, NDArray[Any]], infos: Mapping[str, TensorInfo]) -> bytes:
    """The whole answer; one output stands bare, several by name.

    Raises:
      Refusal: an output cannot be written so.
    """
    written = {name: iter(values(name, array, infos[name].dtype)) for name, array in outputs.items()}
    if layout == ROW:
        body = f'"predictions": [{", ".join(_rows(outputs, written))}]'
    else:
        parts = {name: _nest(outputs[name].shape, texts) for name, texts in written.items()}
        body = f'"outputs": {_object(parts)}'
    return f"{{\n    {body}\n}}".encode("utf-8", "surrogateescape")


def _rows(outputs: Mapping[str, NDArray[Any]], written: Mapping[str, Iterator[str]]) -> Iterator[str]:
    rows = -1
    for name, array in outputs.items():
        if not array.ndim:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if rows not in (-1, array.shape[0]):
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {array.shape[0]} expecting: {rows}")
        rows = array.shape[0]
    for _ in range(rows):
        yield _object({name: _nest(outputs[name].shape[1:], texts) for name, texts in written.items()})


def _object(parts: Mapping[str, str]) -> str:
    if len(parts) == 1:
        return next(iter(parts.values()))
    return "{" + ", ".join(f"{json.dumps(name)}: {part}" for name, part in parts.items()) + "}"


def _nest(shape: tuple[int, ...], texts: Iterator[str]) -> str:
    if not shape:
        return next(texts)
    return "[" + ", ".join(_nest(shape[1:], texts) for _ in range(shape[0])) + "]"


def values(name: str, array: NDArray[Any], dtype: str) -> list[str]:
    """Each value of a tensor as JSON text, in order."""
    flat = array.reshape(-1)
    if dtype == "string":
        if name.endswith("_bytes"):
            return [f'{{"b64": "{base64.b64encode(value).decode()}"}}' for value in flat]
        return [json.dumps(value.decode("utf-8", "surrogateescape"), ensure_ascii=False) for value in flat]
    if dtype in _EXACT:
        return _decimals(flat, _EXACT[dtype])
    if dtype == "bool":
        return ["true" if value else "false" for value in flat]
    if np.issubdtype(array.dtype, np.integer):
        return [str(value) for value in flat.tolist()]
    if not flat.size:
        return []
    raise invalid(f"Failed to write JSON value for tensor type: {dtype}")


def _decimals(flat: NDArray[Any], exact: int) -> list[str]:
    """Six digits where they are enough to read the same number back, else all; `.0` after whole numbers."""
    plain = flat.tolist()
    short = [f"{value:.{_SHORT}g}" for value in plain]
    with np.errstate(over="ignore"):
        same = np.array(short, np.float64).astype(flat.dtype) == flat
    texts = [few if enough else f"{value:.{exact}g}" for few, enough, value in zip(short, same.tolist(), plain)]
    return [one if "." in one or "e" in one else _whole(one) for one in texts]


def _whole(text: str) -> str:
    words = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    return words.get(text, text + ".0")
