"""LastBlessed: the model that the candidate has to compare with, from the registry.

TFX's Resolver would read it from ML Metadata, but it does not run on open-source Kubeflow Pipelines.
"""

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Model
from tfx.utils import path_utils

from components import registry, versions


def find(directory: str, candidate_digest: str) -> str | None:
    """Path of the newest registered SavedModel that still exists and is not the candidate itself."""
    for entry in reversed(registry.entries(directory)):
        if entry.digest == candidate_digest:
            continue
        for path in (entry.model, entry.served):
            if versions.is_whole(path):
                return path
    return None


@component
def LastBlessed(  # type: ignore[no-untyped-def] # noqa: N802
    candidate: InputArtifact[Model],
    baseline: OutputArtifact[Model],
    registry_directory: Parameter[str],
    newest: Parameter[str],  # noqa: ARG001 - only to run again when the registry has something new
    sources: Parameter[str],  # noqa: ARG001
):
    """Copy the last blessed model into `baseline`; leave it empty when there is none."""
    digest = versions.digest(path_utils.serving_model_path(candidate.uri))
    path = find(registry_directory, digest)
    baseline.set_string_custom_property("copied_from", path or "")
    if path:
        versions.copy(path, path_utils.serving_model_path(baseline.uri))
