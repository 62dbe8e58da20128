"""A staged corpus becomes serialized passages with all of its text; each split is a block of every document."""

import gzip
import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions

from components.ingest import corpus_example_gen, staging
from components.ingest.corpora import Corpus
from components.ingest.local_files import SourceFile
from components.ingest.passages import cut
from components.ingest.text import clean

pytestmark = pytest.mark.integration

RUNNER = "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"
LENGTH, EVAL, TEST = 150, 0.2, 0.1
TEXTS = {
    "one.txt": "".join(f"line {number} é\r\n" for number in range(120)),
    "a folder/two.txt.gz": "\ufeff" + "zwei\n" * 300,
    "short.txt": "three",
    "empty.txt": "",
}


def staged(tmp_path: Path, texts: dict[str, str] | None = None) -> str:
    files = []
    for index, (name, text) in enumerate(sorted((texts or TEXTS).items())):
        content = text.encode()
        (tmp_path / f"{index}").write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        files.append(SourceFile(name, tmp_path / f"{index}"))
    return str(staging.stage(Corpus("mine", tuple(files), None), tmp_path / "staged"))


def component(
    directory: str, test_fraction: float = TEST, sources: str = "sources", documents: str = "file", **reading: Any
) -> Any:
    return corpus_example_gen.create(directory, LENGTH, EVAL, test_fraction, documents, sources, **reading)


def generated(
    tmp_path: Path, directory: str, test_fraction: float = TEST, **settings: Any
) -> dict[str, list[dict[str, Any]]]:
    """Returns the records of each split in Beam's order."""
    properties = component(directory, test_fraction, **settings).exec_properties
    executor = corpus_example_gen.Executor()
    with beam.Pipeline(options=PipelineOptions([RUNNER])) as pipeline:
        splits = executor.GenerateExamplesByBeam(pipeline, properties)
        for split, records in splits.items():
            prefix = str(tmp_path / "out" / split)
            _ = records | f"Write[{split}]" >> beam.io.WriteToTFRecord(prefix, coder=beam.coders.BytesCoder())
    return {
        split: [
            parsed(record.numpy())
            for record in tf.data.TFRecordDataset(sorted(map(str, (tmp_path / "out").glob(f"{split}-*"))))
        ]
        for split in splits
    }


def parsed(record: bytes) -> dict[str, Any]:
    features = tf.train.Example.FromString(record).features.feature
    assert set(features) == {"text", "document", "position", "length"}
    return {
        "text": features["text"].bytes_list.value[0].decode(),
        "document": features["document"].bytes_list.value[0].decode(),
        "position": features["position"].int64_list.value[0],
        "length": features["length"].int64_list.value[0],
    }


def expected(split: str, test_fraction: float) -> list[dict[str, Any]]:
    return [
        {"text": passage.text, "document": name, "position": passage.position, "length": len(passage.text)}
        for name, text in sorted(TEXTS.items())
        for passage in cut(name, clean(text), LENGTH, EVAL, test_fraction)
        if passage.split == split
    ]


def in_order(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(records, key=lambda record: (record["document"], record["position"]))


@pytest.mark.parametrize(("test_fraction", "names"), [(0.0, ["train", "eval"]), (TEST, ["train", "eval", "test"])])
def test_every_split_has_its_passages_of_every_document(tmp_path: Path, test_fraction: float, names: list[str]) -> None:
    splits = generated(tmp_path, staged(tmp_path), test_fraction)
    assert list(splits) == names
    for name, records in splits.items():
        assert in_order(records) == expected(name, test_fraction)
        assert records
    assert "short.txt" in {record["document"] for record in splits["train"]}


def spliced(records: list[dict[str, Any]]) -> str:
    """Joins the passages of a split of one file."""
    texts = [record["text"] for record in in_order(records)]
    return texts[0] + "".join(text[1:] for text in texts[1:])


def joined(splits: dict[str, list[dict[str, Any]]], name: str) -> str:
    """Joins the passages of a document; those of a split overlap by one character, splits do not."""
    whole = ""
    for records in splits.values():
        block = ""
        for record in in_order([record for record in records if record["document"] == name]):
            assert record["position"] == len(whole) + max(len(block) - 1, 0)
            block += record["text"][1:] if block else record["text"]
        whole += block
    return whole


def test_splits_are_consecutive_blocks_of_the_clean_text(tmp_path: Path) -> None:
    splits = generated(tmp_path, staged(tmp_path))
    assert {name: joined(splits, name) for name in TEXTS} == {name: clean(text) for name, text in TEXTS.items()}


def test_line_of_a_megabyte_is_read_completely(tmp_path: Path) -> None:
    line = "0123456789" * 125_000
    assert joined(generated(tmp_path, staged(tmp_path, {"line.txt": line})), "line.txt") == line


def test_file_is_decompressed_by_content_and_not_by_name(tmp_path: Path) -> None:
    directory = staged(tmp_path, {"packed.txt": "", "plain.txt.gz": ""})
    Path(directory, "packed.txt").write_bytes(gzip.compress(b"packed " * 100))
    Path(directory, "plain.txt.gz").write_bytes(b"plain " * 100)
    splits = generated(tmp_path, directory)
    assert joined(splits, "packed.txt") == "packed " * 100
    assert joined(splits, "plain.txt.gz") == "plain " * 100


def test_document_that_is_not_text_is_an_error_with_its_name(tmp_path: Path) -> None:
    directory = staged(tmp_path)
    Path(directory, "one.txt").write_bytes(b"abc\xff" * 100)
    with pytest.raises(Exception, match=r"'one\.txt' is not UTF-8 at byte offset 3"):
        generated(tmp_path, directory)


def test_rows_of_a_table_are_documents(tmp_path: Path) -> None:
    names = [f"name {number}" for number in range(300)]
    content = "id,name\r\n" + "".join(f"{number},{name}\r\n" for number, name in enumerate(names))
    directory = staged(tmp_path, {"names.csv.gz": content})
    splits = generated(tmp_path, directory, 0.0, documents="row", column="name")
    found = [text for records in splits.values() for text in spliced(records).strip("\x03").split("\x03")]
    assert sorted(found) == sorted(names)


def test_holdout_is_the_eval_split_and_the_corpus_has_none(tmp_path: Path) -> None:
    corpus, held = staged(tmp_path), staged(tmp_path, {"one.txt": "held out\n" * 99, "tiny.txt": "three"})
    splits = generated(tmp_path, corpus, TEST, holdout=held)
    assert {record["document"] for record in splits["eval"]} == {"one.txt", "tiny.txt"}
    assert joined({"eval": splits.pop("eval")}, "one.txt") == "held out\n" * 99
    assert {name: joined(splits, name) for name in TEXTS} == {name: clean(text) for name, text in TEXTS.items()}
    assert splits["test"]


def test_settings_can_be_replaced_when_the_text_is_known(tmp_path: Path) -> None:
    before, after = component("/corpus"), component("/corpus", holdout="/held", properties={"span": 3})
    packed = before.exec_properties["custom_config"]
    packed = corpus_example_gen.replaced(packed, holdout="/held", properties={"span": 3})
    assert corpus_example_gen._settings(packed) == corpus_example_gen._settings(after.exec_properties["custom_config"])


def test_changed_code_or_setting_changes_the_component(tmp_path: Path) -> None:
    made = [component("/corpus"), component("/corpus", sources="edited"), component("/corpus", 0.0)]
    made += [component("/corpus", documents="row", column=column) for column in ("text", "name")]
    made += [component("/corpus", holdout=place) for place in ("/corpus/1", "/corpus/2")]
    properties = {json.dumps(one.exec_properties, sort_keys=True, default=str) for one in made}
    assert len(properties) == 7
    assert {one.id for one in made} == {"CorpusExampleGen"}
