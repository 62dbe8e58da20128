"""LastBlessed: the model to compare the candidate with, from the registry.

TFX's Resolver would read it from ML Metadata, but it does not run on open-source Kubeflow Pipelines.
"""

import logging

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Model
from tfx.utils import path_utils

from components.models import registry, versions


@component
def LastBlessed(  # type: ignore[no-untyped-def] # noqa: N802
    candidate: InputArtifact[Model],
    baseline: OutputArtifact[Model],
    registry_directory: Parameter[str],
    newest: Parameter[str],  # noqa: ARG001 - runs the component again when it changes
    sources: Parameter[str],  # noqa: ARG001
):
    """Copy the last blessed model into `baseline`; leave it empty if there is none.

    Its property `missing` names the model that should have been there, but no longer exists; `version` and
    `eval_digest` are those of the copied one.
    """
    digest = versions.digest(path_utils.serving_model_path(candidate.uri))
    other = registry.newest_other(registry_directory, digest=digest)
    if other.missing:
        logging.warning("%s: %s", registry_directory, other.warning)
    baseline.set_string_custom_property("missing", other.warning)
    baseline.set_string_custom_property("copied_from", other.path)
    if other.entry:
        baseline.set_int_custom_property("version", other.entry.version)
        baseline.set_string_custom_property("eval_digest", other.entry.eval_digest)
        versions.copy(other.path, path_utils.serving_model_path(baseline.uri))
