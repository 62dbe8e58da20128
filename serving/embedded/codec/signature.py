"""Inputs and outputs of a signature, as far as the JSON codec needs them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[Any]]

# Types that TF Serving's REST API reads and writes, by their name in messages.
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
      dtype: type in TF Serving's messages, for example "float" or "string".
      enum: type in the SavedModel, for example "DT_FLOAT".
      tensor: name of the tensor in the graph.
      shape: sizes, -1 for an unknown size; None for an unknown rank.

    Example:
      >>> prompt = TensorInfo("string", "DT_STRING", "generate_prompt:0", (-1,))
      >>> Signature({"prompt": prompt}, {}, "tensorflow/serving/predict").inputs["prompt"].shape
      (-1,)
    """

    dtype: str
    enum: str
    tensor: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs by name; `method` is the kind of request, such as `tensorflow/serving/predict`."""

    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]
    method: str
