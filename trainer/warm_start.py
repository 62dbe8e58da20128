"""Start training with the weights of the last blessed model, as far as they fit, instead of random ones.

Rows of characters are matched by code point; new characters keep their random initialization. A model that was trained
on the same data is not used: a repeated run would otherwise train again, from its own result.
"""

import json
import os
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.models import registry
from trainer.model import LanguageModel
from transform.vocabulary import Vocabulary

PLACE = os.path.join("assets.extra", "trained_on.json")  # in an export: digest of its training data
_VALUE = "{}/.ATTRIBUTES/VARIABLE_VALUE"


@dataclass(frozen=True)
class SourceModel:
    """A model whose weights training starts from.

    Attributes:
      path: its SavedModel.
      version: its number in the registry.
      digest: of its files.
    """

    path: str
    version: int
    digest: str


def describe(export: str, data: str) -> None:
    """Write the digest of the training data into an export."""
    path = os.path.join(export, PLACE)
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.gfile.GFile(path, "w") as file:
        file.write(json.dumps({"data": data}) + "\n")


def initial_model(registry_directory: str, data: str) -> SourceModel | None:
    """Find the newest registered model that was trained on other data; None if there is none.

    Args:
      data: digest of the data to train on.
    """
    for entry in reversed(registry.entries(registry_directory)):
        path = entry.found_at()
        if path and _data(path) not in (None, data):
            return SourceModel(path, entry.version, entry.digest)
    return None


def apply(model: LanguageModel, vocabulary: Vocabulary, source: SourceModel) -> str | None:
    """Copy the weights of a source model into a new one.

    Returns:
      None, or the mismatch, a phrase; then the model is unchanged.
    """
    reader = tf.train.load_checkpoint(os.path.join(source.path, "variables", "variables"))

    def read(name: str) -> NDArray[np.float32]:
        return reader.get_tensor(_VALUE.format(name))

    if not reader.has_tensor(_VALUE.format("embedding")):
        return "it was exported without its embedding"
    count = sum(name.startswith("recurrent_kernels/") for name in reader.get_variable_to_shape_map())
    if count != len(model.recurrent):
        return f"it has {count} layers and not {len(model.recurrent)}"
    embedding, projection = read("embedding"), read("projection").astype(np.float32)
    if model.tied and not _tied(embedding, projection):
        return "its output was not tied to its embedding"
    rows = _rows(vocabulary, read("code_points").tolist())
    kernels = [read("first_kernel"), *(read(f"kernels/{i}") for i in range(count - 1))]
    biases = [read("first_bias"), *(read(f"biases/{i}") for i in range(count - 1))]
    variables = model.trainable_variables
    values = [
        _mixed(variables[0].numpy(), embedding, rows),
        *(part for i in range(count) for part in (kernels[i], read(f"recurrent_kernels/{i}"), biases[i])),
        _mixed(variables[-2].numpy().T, projection.T, rows).T,
        _mixed(variables[-1].numpy(), read("projection_bias"), rows),
    ]
    for variable, value in zip(variables, values, strict=True):
        if tuple(variable.shape) != value.shape:
            return f"its {variable.name} has shape {value.shape} and not {tuple(variable.shape)}"
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value.astype(np.float32))
    return None


def _tied(embedding: NDArray[np.float32], projection: NDArray[np.float32]) -> bool:
    """Whether the output's matrix was the embedding; in an export it may be bfloat16."""
    return embedding.shape == projection.T.shape and np.allclose(embedding, projection.T, rtol=1e-2, atol=1e-6)


def _rows(vocabulary: Vocabulary, source: list[int]) -> list[int | None]:
    """Map each id to the source's id of the same character; the last ids, both out-of-vocabulary, are matched."""
    ids = {code_point: i for i, code_point in enumerate(source)}
    return [ids.get(code_point) for code_point in vocabulary.code_points] + [len(source)]


def _mixed(new: NDArray[np.float32], source: NDArray[np.float32], rows: list[int | None]) -> NDArray[np.float32]:
    mixed = new.copy()
    if mixed.shape[1:] != source.shape[1:]:
        return source  # of another architecture; the comparison of shapes reports it
    for i, row in enumerate(rows):
        if row is not None:
            mixed[i] = source[row]
    return mixed


def _data(path: str) -> str | None:
    stated = os.path.join(path, PLACE)
    if not tf.io.gfile.exists(stated):
        return None
    with tf.io.gfile.GFile(stated) as file:
        try:
            return str(json.load(file)["data"])
        except (ValueError, KeyError, TypeError):
            return None
