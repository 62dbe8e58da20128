"""The codec's type names mean the same types as in NumPy and TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf

from serving.embedded.codec.signature import NUMPY

pytestmark = pytest.mark.integration


def test_names_match_tensorflow() -> None:
    for name, dtype in NUMPY.items():
        enum = tf.as_dtype({"float": "float32", "double": "float64"}.get(name, name))
        assert enum.as_numpy_dtype is dtype or np.dtype(dtype) == np.dtype(enum.as_numpy_dtype)


def test_types_that_json_cannot_hold_are_missing() -> None:
    assert not {"half", "bfloat16", "complex64", "uint16"} & set(NUMPY)
