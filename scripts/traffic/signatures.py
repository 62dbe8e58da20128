"""Valid rows for any signature of an export, from the server's metadata."""

import random
from dataclasses import dataclass
from typing import Any

from scripts.traffic import CHARACTERS


@dataclass(frozen=True)
class Input:
    """An input of a signature: TensorFlow's name of its type, and the number of values in a row (None: one)."""

    dtype: str
    width: int | None


Signatures = dict[str, dict[str, Input]]  # inputs by name, by name of the signature


def of(metadata: dict[str, Any]) -> Signatures:
    """Return the inputs of all signatures that metadata describe."""
    described = metadata["metadata"]["signature_def"]["signature_def"]
    return {
        name: {key: _input(info) for key, info in signature["inputs"].items()}
        for name, signature in described.items()
        if signature["inputs"]
    }


def row(draw: random.Random, inputs: dict[str, Input], longest: int = 12) -> dict[str, Any]:
    """Make a row that the graph accepts, with texts and numbers of characters up to `longest`."""
    return {name: _value(draw, name, one, longest) for name, one in inputs.items()}


def text(draw: random.Random, longest: int) -> str:
    """Make a text, mostly of characters that the model knows."""
    return "".join(draw.choices(CHARACTERS + "Жx", k=draw.randint(0, longest)))


def _input(info: dict[str, Any]) -> Input:
    sizes = [int(one["size"]) for one in info["tensor_shape"]["dim"]]
    return Input(info["dtype"], sizes[1] if len(sizes) > 1 else None)


def _value(draw: random.Random, name: str, one: Input, longest: int) -> Any:
    if one.width is not None:
        return [0.0] * one.width  # a state: before any text
    if one.dtype == "DT_STRING":
        return text(draw, 3 if name == "stop" else longest)
    if one.dtype == "DT_FLOAT":
        return draw.choice((1.0, 1.0, 0.5, round(draw.uniform(0.1, 1.0), 3)))
    if one.dtype == "DT_INT32":
        return draw.randint(1, longest if name == "num_chars" else 12)
    return draw.getrandbits(63) - 2**62
