"""Pusher: copies a blessed model to the serving directory under the next version number and registers it.

TFX's own Pusher copies into the version's directory, where TF Serving may load an incomplete version.
"""

import datetime
import logging
import os
from typing import NamedTuple

from tfx.components.util import model_utils
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.types.artifact import Artifact
from tfx.types.standard_artifacts import (
    ExampleStatistics,
    InfraBlessing,
    Model,
    ModelBlessing,
    ModelEvaluation,
    ModelRun,
    PushedModel,
)
from tfx.utils import path_utils

from components.evaluate.evaluation import Figures, read_figures
from components.models import original, registry, versions
from components.release import model_card
from components.validate import text_statistics


class Data(NamedTuple):
    """What a model was trained and evaluated on.

    Attributes:
      corpus: the name that the user gave the corpus.
      eval_digest: of the text of the evaluation.
      spans: of the corpus, with commas between them; "": it has none.
      text: path of the statistics of its text; "": there are none.
    """

    corpus: str
    eval_digest: str = ""
    spans: str = ""
    text: str = ""

    @classmethod
    def of(cls, corpus: str, evaluation: Artifact, text: Artifact) -> "Data":
        """Read what the Evaluator states in the properties of its artifact; `text` are the statistics of DriftCheck."""
        digest, spans = (evaluation.get_string_custom_property(name) for name in ("eval_digest", "spans"))
        return cls(corpus, digest, spans, text_statistics.path(text.uri))


def push(
    model: str,
    figures: Figures,
    serving: str,
    registry_directory: str,
    run_key: str,
    data: Data,
    statistics: str = "",
    model_run: str = "",
) -> tuple[int, bool]:
    """Push and register a blessed model, unless it is the newest served version already.

    A lock on the serving directory serializes pushes of all roots. Inconsistencies are repaired: a registered model
    whose version was deleted is pushed again, and a served version without a readable entry is registered.

    Args:
      model: the SavedModel.
      figures: of its evaluation.
      serving: TF Serving's base path of the model, `<serving-dir>/<model>`.
      registry_directory: directory of its registry.
      run_key: as in its registry entry.
      data: what it was trained and evaluated on.
      statistics, model_run: directories of these artifacts, for the model card.

    Returns:
      The version that holds the model, and whether this call pushed it.
    """
    digest = versions.digest(model)
    with versions.locked(serving):
        entries = registry.entries(registry_directory)
        version = _served_version(digest, serving)
        is_new = version is None
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        if version is None:

            def describe(version: int) -> dict[str, str]:
                place = os.path.basename(serving.rstrip("/")), version, now
                origin = model_card.Origin(*place, digest, *data[:3], statistics, model_run)
                return model_card.files(model_card.facts(model, figures, origin))

            version = versions.publish(model, serving, registry.largest_version(registry_directory) + 1, describe)
        else:
            versions.delete_interrupted(serving)
        if not any(entry.version == version and entry.digest == digest for entry in entries):
            served = os.path.join(serving, str(version))
            quality = (figures.perplexity, figures.bits_per_character)
            kept = original.of(model, digest)
            entry = registry.Entry(
                version, digest, run_key, kept, served, *quality, data.corpus, now, data.eval_digest, data.spans
            )
            if data.text and fileio.exists(data.text):  # first: with the entry, the version is registered
                fileio.makedirs(registry_directory)
                fileio.copy(data.text, registry.text_path(registry_directory, version), overwrite=True)
            registry.record(registry_directory, entry)
    return version, is_new


def _served_version(digest: str, serving: str) -> int | None:
    """Return the newest complete version of the serving directory if it holds the model with this digest."""
    newest = max(versions.complete(serving), default=None)
    if newest is None:
        return None
    return newest if versions.holds(versions.directories(serving)[newest], digest) else None


@component
def Pusher(  # type: ignore[no-untyped-def] # noqa: N802
    model: InputArtifact[Model],
    model_blessing: InputArtifact[ModelBlessing],
    infra_blessing: InputArtifact[InfraBlessing],
    evaluation: InputArtifact[ModelEvaluation],
    statistics: InputArtifact[ExampleStatistics],
    text: InputArtifact[ExampleStatistics],
    model_run: InputArtifact[ModelRun],
    pushed_model: OutputArtifact[PushedModel],
    serving: Parameter[str],
    registry_directory: Parameter[str],
    run_key: Parameter[str],
    corpus: Parameter[str],
    sources: Parameter[str],  # noqa: ARG001 - in the cache key: an edit of the code runs the component again
):
    """Push if the model has both blessings; the artifact's properties are those of TFX's Pusher."""
    if not (model_utils.is_model_blessed(model_blessing) and model_utils.is_infra_validated(infra_blessing)):
        pushed_model.set_int_custom_property("pushed", 0)
        return
    path = path_utils.serving_model_path(model.uri)
    figures = read_figures(evaluation.uri, path)
    data = Data.of(corpus, evaluation, text)
    version, new = push(path, figures, serving, registry_directory, run_key, data, statistics.uri, model_run.uri)
    logging.info("Version %s of %s, pushed now: %s", version, serving, new)
    pushed_model.set_int_custom_property("pushed", int(new))
    pushed_model.set_string_custom_property("pushed_destination", os.path.join(serving, str(version)))
    pushed_model.set_string_custom_property("pushed_version", str(version))
