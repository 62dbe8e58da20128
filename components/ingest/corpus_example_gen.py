"""CorpusExampleGen: write a text corpus as passages in `tf.Example`s; each split is a contiguous block."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
import tensorflow as tf
from apache_beam.io import fileio
from google.protobuf import struct_pb2
from tfx.components.example_gen.base_example_gen_executor import BaseExampleGenExecutor
from tfx.components.example_gen.component import FileBasedExampleGen
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec
from tfx.proto import example_gen_pb2
from tfx.utils import proto_utils

from components.ingest.documents import ROW
from components.ingest.passages import Passage, cut, cut_rows
from components.ingest.staging import document_name
from components.ingest.text import Reading, read_document, read_rows


class Executor(BaseExampleGenExecutor):
    """Cleans each file and cuts it into passages. Example: tests/components/ingest/test_corpus_example_gen.py.

    A record has `text`, `document` (the file's name), `position` (offset of the text's first character) and `length`
    (characters of the text).
    """

    def Do(  # noqa: N802 - TFX's name
        self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]
    ) -> None:
        """Write the examples, and what is known of their text as properties of the artifact."""
        super().Do(input_dict, output_dict, exec_properties)
        settings = _settings(exec_properties["custom_config"])
        for examples in output_dict["examples"]:
            for name, value in settings["properties"].items():
                if isinstance(value, str):
                    examples.set_string_custom_property(name, value)
                else:
                    examples.set_int_custom_property(name, int(value))

    def GetInputSourceToExamplePTransform(self) -> beam.PTransform:  # noqa: N802 - TFX's name
        """Not used: `GenerateExamplesByBeam` makes the splits."""
        raise NotImplementedError("CorpusExampleGen makes its splits itself.")

    def GenerateExamplesByBeam(  # noqa: N802 - TFX's name
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.PCollection]:
        """Read `input_base` and return the serialized records of each split."""
        settings = _settings(exec_properties["custom_config"])
        output = proto_utils.json_to_proto(exec_properties["output_config"], example_gen_pb2.Output())
        splits = [split.name for split in output.split_config.splits]
        patterns = [os.path.join(exec_properties["input_base"], "*")]
        if settings["holdout"]:
            patterns.append(os.path.join(settings["holdout"], "*"))
        passages = (
            pipeline
            | "Patterns" >> beam.Create(patterns)
            | "Match" >> fileio.MatchAll()
            # Beam would decompress by file name; `read_document` does it by content.
            | "Open" >> fileio.ReadMatches(compression="uncompressed")
            | "Cut" >> beam.FlatMap(_passages, settings)
        )
        parts = passages | "Split" >> beam.Partition(lambda passage, _: splits.index(passage.split), len(splits))
        return {split: part | f"Serialize[{split}]" >> beam.Map(_serialize) for split, part in zip(splits, parts)}


def create(
    input_base: str,
    passage_length: int,
    eval_fraction: float,
    test_fraction: float,
    documents: str,
    sources: str,
    column: str | None = None,
    normalization: str | None = None,
    fold_case: bool = False,
    holdout: str = "",
    properties: Mapping[str, Any] | None = None,
) -> Any:
    """Return the component that reads every file of the staged corpus `input_base`.

    Args:
      documents: what one document is, see `passages.blocks`.
      sources: digest of the code that makes the records, so that an edit invalidates the cache.
      column: how a file is read, like the following, see `text.Reading`.
      normalization: Unicode normalization form.
      fold_case: whether case is folded.
      holdout: directory of the staged eval text, of which no document is trained on; then the documents of `input_base`
        have no eval split. "": there is none.
      properties: of the Examples artifact, texts and integers, for later components and for the lineage.
    """
    settings = struct_pb2.Struct()
    settings.update(
        {
            "passage_length": passage_length,
            "eval_fraction": eval_fraction,
            "test_fraction": test_fraction,
            "documents": documents,
            "column": column,
            "normalization": normalization,
            "fold_case": fold_case,
            "holdout": holdout,
            "properties": dict(properties or {}),
            "sources": sources,
        }
    )
    custom = example_gen_pb2.CustomConfig()
    custom.custom_config.Pack(settings)
    names = ["train", "eval"] + (["test"] if test_fraction else [])
    # TFX requires numbers of hash buckets; the executor splits by position in the text and ignores them.
    splits = [example_gen_pb2.SplitConfig.Split(name=name, hash_buckets=1) for name in names]
    return FileBasedExampleGen(
        input_base=input_base,
        input_config=example_gen_pb2.Input(splits=[example_gen_pb2.Input.Split(name="documents", pattern="*")]),
        output_config=example_gen_pb2.Output(split_config=example_gen_pb2.SplitConfig(splits=splits)),
        custom_config=custom,
        custom_executor_spec=BeamExecutorSpec(Executor),
    ).with_id("CorpusExampleGen")


def reading(settings: Mapping[str, Any]) -> Reading:
    """Return how a file is read, from the settings that `create` packs."""
    return Reading(settings["column"], settings["normalization"], settings["fold_case"])


def replaced(packed: str, **values: Any) -> str:
    """Return the component's parameter `custom_config` with other settings, by the names in `create`."""
    settings = struct_pb2.Struct()
    settings.update(_settings(packed) | values)
    custom = example_gen_pb2.CustomConfig()
    custom.custom_config.Pack(settings)
    return str(proto_utils.proto_to_json(custom))


def _settings(packed: str) -> dict[str, Any]:
    custom = proto_utils.json_to_proto(packed, example_gen_pb2.CustomConfig())
    settings = struct_pb2.Struct()
    custom.custom_config.Unpack(settings)
    return dict(settings)


def _passages(file: fileio.ReadableFile, settings: dict[str, Any]) -> Iterator[Passage]:
    name, rule = document_name(file.metadata.path), settings["documents"]
    sizes = int(settings["passage_length"]), *_fractions(file.metadata.path, settings)
    if rule == ROW:
        yield from cut_rows(name, read_rows(file.open, name, reading=reading(settings)), *sizes)
    else:
        yield from cut(name, read_document(file.read(), name, reading=reading(settings)), *sizes, rule)


def _fractions(path: str, settings: dict[str, Any]) -> tuple[float, float]:
    """Return which parts of a file are held out for evaluation and for tests."""
    holdout = settings["holdout"]
    if holdout and os.path.dirname(path) == holdout.rstrip("/"):
        return 1.0, 0.0
    return 0.0 if holdout else settings["eval_fraction"], settings["test_fraction"]


def _serialize(passage: Passage) -> bytes:
    def integer(value: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    def text(value: str) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode("utf-8", "surrogatepass")]))

    # A file name may contain bytes that are not UTF-8: they are escaped.
    document = passage.document.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    features = {
        "text": text(passage.text),
        "document": text(document),
        "position": integer(passage.position),
        "length": integer(len(passage.text)),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(example.SerializeToString(deterministic=True))
