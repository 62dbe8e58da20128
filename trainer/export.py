"""Export trained weights as a OneStep SavedModel."""

from collections.abc import Callable

from components.evaluate import generalization, reference, samples
from components.evaluate.generalization import Generalization
from components.models import versions
from serving.graph import generation_config, signatures, warmup
from serving.graph.generation_config import Limits
from serving.graph.network import arrange
from serving.graph.one_step import Defaults, OneStep
from trainer import warm_start
from trainer.generalization.measure import Generate, sample
from trainer.model import LanguageModel
from transform.vocabulary import Vocabulary


def one_step(model: LanguageModel, vocabulary: Vocabulary, defaults: Defaults) -> OneStep:
    """Build the served model from the trained one."""
    variables = [variable.numpy() for variable in model.weights_to_train]
    return OneStep(arrange(variables, model.cell, model.tied), vocabulary, defaults)


def save(
    exported: OneStep,
    directory: str,
    model_name: str,
    reference_nats: float,
    data_digest: str = "",
    measure: Callable[[Generate, Limits], Generalization] | None = None,
) -> None:
    """Write the SavedModel and the files next to it; the directory, which may be in a bucket, is complete or unused.

    Args:
      reference_nats: cross-entropy of the trigram reference on the eval split, nats per character.
      data_digest: of the data that the model was trained on.
      measure: measures how far the model generalizes, given its signature `generate` and its limits; None: nothing is
        generated, so the export has no samples either.
    """
    with versions.writing(directory) as place:
        saved = signatures.save(exported, place)
        warmup.write(place, model_name, exported.state_size)
        generation_config.write(place, exported.limits)
        reference.write(place, reference_nats)
        warm_start.describe(place, data_digest)
        if measure:
            generalization.write(place, measure(saved["generate"], exported.limits))
            samples.write(place, sample(saved["generate"], exported.limits))
