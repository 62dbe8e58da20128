"""AnomalyGate: stop the run if ExampleValidator, which only reports, found an anomaly."""

import os

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.types.standard_artifacts import ExampleAnomalies

from components.errors import UserError


def describe(split: str, anomalies: anomalies_pb2.Anomalies) -> list[str]:
    """Return one sentence for each anomaly of a split."""
    found = [
        f"{split} split, {name or 'records'}: {info.short_description.rstrip('.')} ({info.description.rstrip('.')})."
        for name, info in sorted(anomalies.anomaly_info.items())
    ]
    if anomalies.HasField("dataset_anomaly_info"):
        found.append(f"{split} split: {anomalies.dataset_anomaly_info.description.rstrip('.')}.")
    if anomalies.data_missing:
        found.append(f"{split} split: it has no records.")
    return found


@component
def AnomalyGate(  # type: ignore[no-untyped-def] # noqa: N802
    anomalies: InputArtifact[ExampleAnomalies],
    sources: Parameter[str],  # noqa: ARG001 - an edit of the code runs it again
):
    """Raise `UserError` with a sentence for every anomaly; Transform waits for this component."""
    found: list[str] = []
    for split in artifact_utils.decode_split_names(anomalies.split_names):
        path = os.path.join(artifact_utils.get_split_uri([anomalies], split), "SchemaDiff.pb")
        with fileio.open(path, "rb") as file:
            found += describe(split, anomalies_pb2.Anomalies.FromString(file.read()))
    if found:
        raise UserError(
            "The corpus does not pass validation against components/validate/schema/schema.pbtxt. "
            + " ".join(found)
            + " Fix or exclude these documents (a very short one has a small `length`) and run again; no model was "
            "trained or replaced."
        )
