"""What a signature takes and gives, as the JSON codec needs to know it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[Any]]

# Types that TF Serving's REST port can read or write, by their name in messages.
NUMPY: dict[str, Any] = {
    "float": np.float32,
    "double": np.float64,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "uint8": np.uint8,
    "uint32": np.uint32,
    "uint64": np.uint64,
    "bool": np.bool_,
    "string": object,
}


@dataclass(frozen=True)
class TensorInfo:
    """One input or output.

    Attributes:
      dtype: name as TF Serving prints it, for example "float" or "string".
      enum: name in the SavedModel, for example "DT_FLOAT".
      tensor: name in the graph.
      shape: sizes, -1 where any size will do; None if even the rank is open.
    """

    dtype: str
    enum: str
    tensor: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs by name, and what kind of answer they make (`tensorflow/serving/predict`, ...)."""

    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]
    method: str
