"""Real runs of tf.Transform: from text through Beam to the trainer's files, and back to text."""

import functools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import dataset_metadata
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from transform.preprocessing import VOCABULARY_NAME, preprocessing_fn
from transform.vocabulary import Vocabulary

pytestmark = pytest.mark.integration

SCHEMA = Path(__file__).parents[2] / "components" / "validate" / "schema" / "schema.pbtxt"
TRAIN = {
    "whitespace": " one\ntwo\r\nthree\tfour\u00a0five\u2028six\x0bseven\x00eight\n ",
    "newline": "\n",
    "carriage return": "\r",
    "tab": "\t",
    "space": " ",
    "quotes": "He said \"it's\" \\ 'so' – “really”,;|`\\n` #0",
    "cjk": "吾輩は猫である。한국어 中文𠮷",
    "emoji": "😀👩\u200d👩\u200d👧 🇯🇵 e\u0301",
    "last code points": "\ufffd\uffff\U0010fffd\U0010ffff",
}
UNSEEN = "one§two¤\nthree🦉"
POSITIONS = {"unseen": 700, "continued": 2}  # of all other passages: 0, the beginning of a document


@dataclass
class Outcome:
    """What a run leaves: Transform's artifact, its vocabulary, and the transformed passages by document."""

    output: tft.TFTransformOutput
    vocabulary: Vocabulary
    passages: dict[str, dict[str, Any]]


def passage(document: str, text: str) -> dict[str, Any]:
    position = POSITIONS.get(document, 0)
    return {"text": text.encode(), "document": document.encode(), "position": position, "length": len(text)}


def encode(batch: tuple[pa.RecordBatch, dict[str, Any]], metadata: dataset_metadata.DatasetMetadata) -> list[bytes]:
    return RecordBatchToExamplesEncoder(metadata.schema).encode(batch[0])


def transform(directory: Path, train: dict[str, str], rest: dict[str, str], **custom_config: Any) -> Outcome:
    """Make the vocabulary of `train` and transform everything, by way of the files that TFX's Transform writes."""
    schema = text_format.Parse(SCHEMA.read_text(encoding="utf-8"), schema_pb2.Schema())
    metadata = dataset_metadata.DatasetMetadata(schema)
    config = {"max_size": None, "min_count": 1, **custom_config}
    with (
        beam.Pipeline(runner=FnApiRunner()) as pipeline,
        tft_beam.Context(temp_dir=str(directory / "temporary")),
    ):
        analyzed = pipeline | "Train" >> beam.Create([passage(*item) for item in train.items()])
        everything = pipeline | "All" >> beam.Create([passage(*item) for item in {**train, **rest}.items()])
        function = (analyzed, metadata) | tft_beam.AnalyzeDataset(
            functools.partial(preprocessing_fn, custom_config=config)
        )
        batches, result = ((everything, metadata), function) | tft_beam.TransformDataset(output_record_batches=True)
        _ = function | tft_beam.WriteTransformFn(str(directory / "output"))
        _ = (
            batches
            | beam.FlatMap(encode, beam.pvalue.AsSingleton(result.deferred_metadata))
            | beam.io.WriteToTFRecord(str(directory / "examples"), file_name_suffix=".gz")
        )
    output = tft.TFTransformOutput(str(directory / "output"))
    vocabulary = Vocabulary.from_tokens(output.vocabulary_by_name(VOCABULARY_NAME))
    files = [str(path) for path in directory.glob("examples*.gz")]
    records = list(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())
    parsed = [tf.io.parse_single_example(record, output.transformed_feature_spec()) for record in records]
    return Outcome(output, vocabulary, {row["document"].numpy().decode(): row for row in parsed})


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return transform(tmp_path_factory.mktemp("transform"), TRAIN, {"unseen": UNSEEN})


@pytest.mark.parametrize("document", TRAIN)
def test_every_character_survives_the_round_trip(outcome: Outcome, document: str) -> None:
    ids = outcome.passages[document]["ids"].numpy().tolist()
    assert outcome.vocabulary.decode(ids) == TRAIN[document]
    assert ids == outcome.vocabulary.encode(TRAIN[document])


def test_vocabulary_has_each_character_of_the_train_split_once(outcome: Outcome) -> None:
    characters = outcome.vocabulary.characters
    assert sorted(characters) == sorted(set("".join(TRAIN.values())))


def test_frequent_characters_have_low_ids(outcome: Outcome) -> None:
    counts = Counter("".join(TRAIN.values()))
    by_id = [counts[character] for character in outcome.vocabulary.characters]
    assert by_id == sorted(counts.values(), reverse=True)
    assert by_id[0] > by_id[-1] == 1


def test_unseen_characters_share_the_last_id(outcome: Outcome) -> None:
    ids = outcome.passages["unseen"]["ids"].numpy().tolist()
    assert ids == outcome.vocabulary.encode(UNSEEN)
    assert outcome.vocabulary.decode(ids, unknown="?") == "one?two?\nthree?"
    assert max(ids) == len(outcome.vocabulary.code_points)


def test_document_and_position_are_unchanged(outcome: Outcome) -> None:
    assert set(outcome.passages) == {*TRAIN, "unseen"}
    positions = {document: int(row["position"]) for document, row in outcome.passages.items()}
    assert positions == {**dict.fromkeys(TRAIN, 0), "unseen": POSITIONS["unseen"]}
    assert set(outcome.output.transformed_feature_spec()) == {"ids", "document", "position"}


def test_saved_graph_gives_the_same_ids(outcome: Outcome) -> None:
    features = {
        "text": tf.constant([TRAIN["cjk"].encode(), UNSEEN.encode()]),
        "document": tf.constant([b"a", b"b"]),
        "position": tf.constant([0, 1], tf.int64),
        "length": tf.constant([len(TRAIN["cjk"]), len(UNSEEN)], tf.int64),
    }
    ids = outcome.output.transform_raw_features(features)["ids"]
    assert ids.to_list() == [outcome.vocabulary.encode(TRAIN["cjk"]), outcome.vocabulary.encode(UNSEEN)]


RARE = {"a.txt": "d\n\nee\nbb\nccb\nee"}
# The first character of a passage that continues a document is the last one of the passage before.
SHARED = {"begun": "xxy", "continued": "yz"}


@pytest.mark.parametrize(
    ("texts", "custom_config", "characters"),
    [
        ({**RARE, **SHARED}, {"min_count": 2}, "\nebxc"),
        (RARE, {"min_count": 2, "max_size": 2}, "\ne"),
    ],
)
def test_rare_characters_can_share_the_out_of_vocabulary_id(
    tmp_path: Path, texts: dict[str, str], custom_config: dict[str, int], characters: str
) -> None:
    outcome = transform(tmp_path, texts, {}, **custom_config)
    assert "".join(outcome.vocabulary.characters) == characters
    for document, text in texts.items():
        ids = outcome.passages[document]["ids"].numpy()
        assert outcome.vocabulary.decode(ids, unknown="?") == "".join(c if c in characters else "?" for c in text)


def test_transform_counts_each_different_character_of_a_batch_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, list[Any]] = {}

    def vocabulary(tokens: tf.Tensor, weights: tf.Tensor, **_: Any) -> str:
        given.update(tokens=tokens.numpy().tolist(), weights=weights.numpy().tolist())
        return ""

    monkeypatch.setattr(tft, "vocabulary", vocabulary)
    monkeypatch.setattr(tft, "apply_vocabulary", lambda tokens, *_, **__: tf.strings.to_number(tokens, tf.int64))
    texts, positions = ["abab", "zba"], [0, 3]  # the second one starts with a character of the passage before it
    inputs = {"text": tf.constant(texts), "document": tf.constant(["d"] * 2), "position": tf.constant(positions)}
    outputs = preprocessing_fn(inputs, {"max_size": None, "min_count": 1})
    assert given == {"tokens": [b"000097", b"000098"], "weights": [3, 3]}
    assert outputs["ids"].to_list() == [[ord(character) for character in text] for text in texts]
