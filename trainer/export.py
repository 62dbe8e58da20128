"""Export trained weights as a OneStep SavedModel."""

import tensorflow as tf

from components.evaluate import reference
from serving.graph import generation_config, signatures, warmup
from serving.graph.one_step import Defaults, OneStep
from serving.graph.weights import arrange
from trainer import warm_start
from trainer.model import LanguageModel
from transform.vocabulary import Vocabulary


def one_step(model: LanguageModel, vocabulary: Vocabulary, defaults: Defaults) -> OneStep:
    """Build the served model from the trained one."""
    variables = [variable.numpy() for variable in model.weights_to_train]
    return OneStep(arrange(variables, model.cell, model.tied), vocabulary, defaults)


def save(exported: OneStep, directory: str, model_name: str, reference_nats: float, data_digest: str = "") -> None:
    """Write the SavedModel and the files next to it; the directory is complete or does not exist.

    Args:
      reference_nats: cross-entropy of the trigram reference on the eval split, nats per character.
      data_digest: of the data that the model was trained on.
    """
    partial = directory.rstrip("/") + ".partial"
    if tf.io.gfile.exists(partial):
        tf.io.gfile.rmtree(partial)
    signatures.save(exported, partial)
    warmup.write(partial, model_name, exported.state_size)
    generation_config.write(partial, exported.limits)
    reference.write(partial, reference_nats)
    warm_start.describe(partial, data_digest)
    tf.io.gfile.rename(partial, directory)
