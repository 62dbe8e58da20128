"""Pusher: gives a blessed model the next version number in the serving directory, and registers it.

TFX's own Pusher writes straight into the version's directory, where TF Serving may meet half of it.
"""

import datetime
import logging
import os
from dataclasses import dataclass

from tfx.components.util import model_utils
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing, ModelEvaluation, PushedModel
from tfx.utils import path_utils

from components.evaluate.evaluation import read_figures
from components.models import registry, versions


@dataclass(frozen=True)
class Destination:
    """Where models of one lineage go.

    Attributes:
      serving: TF Serving's base path of the model, `<serving-dir>/<model>`.
      registry: directory of the registry.
    """

    serving: str
    registry: str


def push(
    model: str, destination: Destination, run_key: str, corpus: str, perplexity: float, bits_per_character: float
) -> tuple[int, bool]:
    """Serve and register a blessed model, unless it is what is being served already.

    One push at a time to a serving directory, from whatever root. Also mends what is missing: a registered model whose
    version is gone is pushed again, and a served one without an entry is registered.

    Returns:
      The version that holds the model, and whether it was pushed now.
    """
    digest = versions.digest(model)
    with versions.locked(destination.serving):
        known = registry.entries(destination.registry)
        live = versions.served(destination.serving)
        is_served = (
            bool(live)
            and live[-1] == versions.newest_name(destination.serving)
            and versions.digest(os.path.join(destination.serving, str(live[-1]))) == digest
        )
        if is_served:
            version = live[-1]
        else:
            after = max((entry.version for entry in known), default=0) + 1
            version = versions.publish(model, destination.serving, at_least=after)
        if not any(entry.version == version and entry.digest == digest for entry in known):
            now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
            served = os.path.join(destination.serving, str(version))
            registry.record(
                destination.registry,
                registry.Entry(version, digest, run_key, model, served, perplexity, bits_per_character, corpus, now),
            )
    return version, not is_served


@component
def Pusher(  # type: ignore[no-untyped-def] # noqa: N802
    model: InputArtifact[Model],
    model_blessing: InputArtifact[ModelBlessing],
    infra_blessing: InputArtifact[InfraBlessing],
    evaluation: InputArtifact[ModelEvaluation],
    pushed_model: OutputArtifact[PushedModel],
    serving: Parameter[str],
    registry_directory: Parameter[str],
    run_key: Parameter[str],
    corpus: Parameter[str],
    sources: Parameter[str],  # noqa: ARG001 - an edit of the code runs it again
):
    """Push if both blessings are given; the artifact's properties are those of TFX's Pusher."""
    if not (model_utils.is_model_blessed(model_blessing) and model_utils.is_infra_validated(infra_blessing)):
        pushed_model.set_int_custom_property("pushed", 0)
        return
    path = path_utils.serving_model_path(model.uri)
    figures = read_figures(evaluation.uri, path)
    destination = Destination(serving, registry_directory)
    version, new = push(path, destination, run_key, corpus, figures.perplexity, figures.bits_per_character)
    logging.info("version %s of %s, pushed now: %s", version, serving, new)
    pushed_model.set_int_custom_property("pushed", int(new))
    pushed_model.set_string_custom_property("pushed_destination", os.path.join(serving, str(version)))
    pushed_model.set_string_custom_property("pushed_version", str(version))
