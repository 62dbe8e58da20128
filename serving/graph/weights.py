"""Arrange the variables of a trained model as the weights of the served graph."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from serving.graph.network import Weights


def arrange(variables: Sequence[NDArray[np.float32]], cell: str, tied: bool) -> Weights:
    """Name the values of `trainer.model.LanguageModel.weights_to_train`, which a checkpoint stores as a list.

    Args:
      variables: embedding; for each layer kernel, recurrent kernel and bias; output kernel unless tied; output bias.
      cell: a name of `serving.graph.cells.KINDS`.
      tied: whether the embedding is the output's matrix as well.
    """
    embedding, *recurrent, projection_bias = variables
    projection = embedding.T if tied else recurrent.pop()
    layers = list(zip(*(iter(recurrent),) * 3, strict=True))
    return Weights(embedding, layers, projection, projection_bias, cell)
