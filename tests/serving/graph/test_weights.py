"""The list of a model's variables, arranged as named weights."""

from typing import Any

import numpy as np
import pytest

from serving.graph import weights

pytestmark = pytest.mark.integration


def matrices(*shapes: tuple[int, ...]) -> list[Any]:
    return [np.full(shape, i, np.float32) for i, shape in enumerate(shapes)]


def test_example() -> None:
    embedding, kernel, recurrent_kernel, bias, projection, projection_bias = variables = matrices(
        (3, 2), (2, 4), (4, 4), (4,), (4, 3), (3,)
    )
    arranged = weights.arrange(variables, "rnn", tied=False)
    assert arranged.embedding is embedding
    assert arranged.layers == [(kernel, recurrent_kernel, bias)]
    assert arranged.projection is projection
    assert arranged.projection_bias is projection_bias


def test_tied_projection_is_the_transposed_embedding() -> None:
    variables = matrices((3, 4), (4, 4), (4, 4), (4,), (4, 4), (4, 4), (4,), (3,))
    arranged = weights.arrange(variables, "rnn", tied=True)
    np.testing.assert_array_equal(arranged.projection, variables[0].T)
    assert [len(layer) for layer in arranged.layers] == [3, 3]


def test_incomplete_layer_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        weights.arrange(matrices((3, 2), (2, 4), (4, 4), (4, 3), (3,)), "rnn", tied=False)
