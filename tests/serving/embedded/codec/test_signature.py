"""The types that the JSON codec knows are those that NumPy and TensorFlow mean by the same names."""

import numpy as np
import pytest
import tensorflow as tf

from serving.embedded.codec.signature import NUMPY

pytestmark = pytest.mark.integration


def test_the_names_are_tensorflows() -> None:
    for name, dtype in NUMPY.items():
        enum = tf.as_dtype({"float": "float32", "double": "float64"}.get(name, name))
        assert enum.as_numpy_dtype is dtype or np.dtype(dtype) == np.dtype(enum.as_numpy_dtype)


def test_types_without_a_place_in_json_are_left_out() -> None:
    assert not {"half", "bfloat16", "complex64", "uint16"} & set(NUMPY)
