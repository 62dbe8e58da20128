"""DriftCheck: compare new text with the text of the last blessed model before anything is trained on it."""

import logging
import os
from collections import Counter
from collections.abc import Iterator

import tensorflow as tf
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList as Statistics
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.types.standard_artifacts import ExampleAnomalies, Examples, ExampleStatistics

from components.errors import UserError
from components.models import registry
from components.validate import drift, text_statistics
from components.validate.text_statistics import TextCounts

_SPLIT = "train"
_ANOMALIES = "SchemaDiff.pb"  # as TFX names it
_COMPARED = 10_000  # documents that may be named
_PROGRESS = logging.getLogger("char_rnn.progress")


@component
def DriftCheck(  # type: ignore[no-untyped-def] # noqa: N802
    examples: InputArtifact[Examples],
    statistics: OutputArtifact[ExampleStatistics],
    anomalies: OutputArtifact[ExampleAnomalies],
    registry_directory: Parameter[str],
    newest: Parameter[str],
    documents: Parameter[str],
    thresholds: Parameter[str],
    action: Parameter[str],
    sources: Parameter[str],  # noqa: ARG001
):
    """Write the statistics of the train split, and compare those of its new part with the last blessed model's.

    That model is the one with the digest `newest`, or the last one if this is empty. New are the spans that it was not
    trained on; of a corpus without spans, everything. The property `drift` of the anomalies has a sentence for each
    difference above its threshold.

    Raises:
      UserError: there is such a difference, and `action` is "stop".
    """
    entry = registry.newest_with_text(registry_directory, newest) if action != "off" else None
    spans = examples.get_string_custom_property("spans")
    trained_on = set(entry.spans.split(",")) if entry and entry.spans and spans else set()
    text, new = TextCounts(documents), TextCounts(documents)
    by_document: dict[str, Counter[str]] = {}
    for document, record, is_first in _records(artifact_utils.get_split_uri([examples], _SPLIT)):
        text.add(document, record, is_first)
        if entry and document.partition("/")[0] not in trained_on:
            new.add(document, record, is_first)
            if document in by_document or len(by_document) < _COMPARED:
                by_document.setdefault(document, Counter()).update(record)
    made = text.statistics()
    statistics.split_names = anomalies.split_names = artifact_utils.encode_split_names([_SPLIT])
    _write(text_statistics.path(statistics.uri), made.SerializeToString(deterministic=True))
    found, sentences = b"", []
    if entry and by_document:
        before = Statistics.FromString(fileio.open(registry.text_path(registry_directory, entry.version), "rb").read())
        if before != made:
            result = drift.compare(new.statistics(before, repeats=bool(trained_on)), before, thresholds)
            found, sentences = result.anomalies.SerializeToString(), list(result.sentences)
    if entry and sentences:
        if len(by_document) > 1:
            sentences.append(f"Furthest away: {', '.join(map(repr, drift.furthest(by_document, before)))}.")
        sentences.insert(0, f"The new text differs from the one that version {entry.version} was trained on.")
    _write(os.path.join(artifact_utils.get_split_uri([anomalies], _SPLIT), _ANOMALIES), found)
    words = " ".join(sentences)
    anomalies.set_string_custom_property("drift", words)
    if words and action == "stop":
        raise UserError(
            f"{words} If this text is wanted, train on it once with --set validation.drift=warn; the thresholds are in "
            "components/validate/schema/text.pbtxt. No model was trained or replaced. Received: validation.drift=stop"
        )
    if words:
        _PROGRESS.warning("drift: %s", words)


def _records(directory: str) -> Iterator[tuple[str, str, bool]]:
    """Yield document and text of each record, and whether it is the first one of its document."""
    # Beam's temporary directories may be beside the files.
    paths = [path for path in sorted(tf.io.gfile.glob(os.path.join(directory, "*"))) if not tf.io.gfile.isdir(path)]
    for record in tf.data.TFRecordDataset(paths, compression_type="GZIP").as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        document, text = (features[name].bytes_list.value[0] for name in ("document", "text"))
        position = features["position"].int64_list.value[0]
        yield document.decode(), text.decode("utf-8", "surrogatepass"), position == 0


def _write(path: str, content: bytes) -> None:
    fileio.makedirs(os.path.dirname(path))
    with fileio.open(path, "wb") as file:
        file.write(content)
