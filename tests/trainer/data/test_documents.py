"""Shuffled gzipped records, as Transform writes them, are joined into documents in the order of the text."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.ingest.passages import cut
from trainer.data import documents
from trainer.data.documents import Split
from transform.vocabulary import Vocabulary

pytestmark = pytest.mark.integration

SPEC = {
    "ids": tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64),
    "document": tf.io.FixedLenFeature([], tf.string),
    "position": tf.io.FixedLenFeature([], tf.int64),
}
ALPHABET = Vocabulary(tuple(map(ord, "abcdefghijklmnopqrstuvwxyz é語")))
Record = tuple[str, int, list[int]]


def example(record: Record) -> bytes:
    document, position, ids = record
    feature = {
        "document": tf.train.Feature(bytes_list=tf.train.BytesList(value=[document.encode()])),
        "position": tf.train.Feature(int64_list=tf.train.Int64List(value=[position])),
        "ids": tf.train.Feature(int64_list=tf.train.Int64List(value=ids)),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def write(directory: Path, records: Sequence[Record], files: int = 2) -> list[str]:
    """Spread the records over files, and give the pattern that names these."""
    for number in range(files):
        path = str(directory / f"transformed_examples-{number:05d}-of-{files:05d}.gz")
        with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
            for record in records[number::files]:
                writer.write(example(record))
    return [str(directory / "transformed_examples-*")]


def passages(document: str, text: str, passage_length: int, split: str = "") -> list[Record]:
    return [
        (passage.document, passage.position, ALPHABET.encode(passage.text))
        for passage in cut(document, text, passage_length, 0.3)
        if split in ("", passage.split)
    ]


def load(directory: Path, records: Sequence[Record], vocabulary_size: int = ALPHABET.size, limit: int = 10**6) -> Split:
    return documents.load(write(directory, records), SPEC, vocabulary_size, limit)


def texts(split: Split) -> dict[str, str]:
    ends = np.cumsum(split.lengths)
    return {
        name: ALPHABET.decode(split.ids[end - length : end])
        for name, length, end in zip(split.documents, split.lengths, ends)
    }


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(["b.txt", "a.txt", "ü/c.txt"]), st.text("abc é語", min_size=2, max_size=60)),
    st.integers(1, 20),
    st.randoms(use_true_random=False),
)
def test_shuffled_passages_are_joined_into_documents(
    tmp_path: Path, documents: dict[str, str], passage_length: int, order: random.Random
) -> None:
    records = [record for name, text in documents.items() for record in passages(name, text, passage_length)]
    order.shuffle(records)
    split = load(tmp_path, records)
    assert texts(split) == documents  # each too short to hold anything out
    assert list(split.documents) == sorted(documents, key=str.encode)
    assert split.targets == sum(len(text) - 1 for text in documents.values())


@pytest.mark.parametrize("name", ["train", "eval"])
def test_split_starts_where_its_block_starts(tmp_path: Path, name: str) -> None:
    whole = "".join(random.Random(1).choices("abcdef", k=1000))
    records = passages("a.txt", whole, 64, split=name)
    random.Random(2).shuffle(records)
    expected = {"train": whole[:700], "eval": whole[700:]}[name]
    assert texts(load(tmp_path, records)) == {"a.txt": expected}


def test_more_records_than_one_parse_batch(tmp_path: Path) -> None:
    whole = "".join(random.Random(3).choices("abcdef ", k=1000))
    records = passages("a.txt", whole, 2, split="train")
    random.Random(4).shuffle(records)
    assert len(records) > documents._RECORDS_AT_A_TIME
    assert texts(load(tmp_path, records)) == {"a.txt": whole[:700]}


def test_large_split_is_mapped_from_a_file_that_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    whole = "".join(random.Random(5).choices("abcdef", k=90))
    records = passages("b.txt", whole, 7) + passages("a.txt", whole[::-1], 7)
    random.Random(6).shuffle(records)
    in_memory, mapped = load(tmp_path, records, limit=180), load(tmp_path, records, limit=179)
    assert isinstance(mapped.ids, np.memmap)
    assert not isinstance(in_memory.ids, np.memmap)
    assert list(temporary.iterdir()) == []
    assert texts(mapped) == texts(in_memory) == {"a.txt": whole[::-1], "b.txt": whole}
    assert mapped.ids.dtype == in_memory.ids.dtype
    assert mapped.digest(ALPHABET) == in_memory.digest(ALPHABET)


@pytest.mark.parametrize(("vocabulary_size", "dtype"), [(256, np.uint8), (257, np.uint16), (65_537, np.uint32)])
def test_ids_have_the_smallest_sufficient_type(tmp_path: Path, vocabulary_size: int, dtype: type[np.generic]) -> None:
    split = load(tmp_path, [("a.txt", 0, [0, vocabulary_size - 1])], vocabulary_size)
    assert split.ids.dtype == dtype
    assert split.ids.tolist() == [0, vocabulary_size - 1]


def test_temporary_directory_of_a_lost_beam_worker_is_not_read(tmp_path: Path) -> None:
    left = tmp_path / "transformed_examples-0" / "beam-temp"
    left.mkdir(parents=True)
    (left / "part").write_bytes(b"not a record")
    assert texts(load(tmp_path, [("a.txt", 0, [3, 4])])) == {"a.txt": "de"}


def test_split_may_be_empty_or_without_targets(tmp_path: Path) -> None:
    empty = load(tmp_path, [])
    assert (empty.documents, empty.targets, len(empty.ids)) == ((), 0, 0)
    single = load(tmp_path, [("a.txt", 0, [3]), ("b.txt", 9, [4])])
    assert (single.documents, single.targets, single.ids.tolist()) == (("a.txt", "b.txt"), 0, [3, 4])


WHOLE: list[Record] = [("a.txt", 0, [1, 2, 3, 4]), ("a.txt", 3, [4, 5, 6]), ("a.txt", 5, [6, 7]), ("b.txt", 0, [1, 2])]


@pytest.mark.parametrize(
    "records",
    [
        pytest.param(WHOLE[:1] + WHOLE[2:], id="one is missing"),
        pytest.param([WHOLE[0], ("a.txt", 4, [5, 6]), *WHOLE[2:]], id="the overlap is missing"),
        pytest.param([*WHOLE, WHOLE[1]], id="one came twice"),
        pytest.param([WHOLE[0], ("a.txt", 2, [3, 4, 5, 6]), *WHOLE[2:]], id="one begins too early"),
        pytest.param([("a.txt", 0, [1, 2]), ("a.txt", 0, [1, 2]), ("a.txt", 2, [3, 4])], id="one came twice in a gap"),
    ],
)
def test_gaps_and_repetitions_are_an_error(tmp_path: Path, records: list[Record]) -> None:
    assert load(tmp_path, WHOLE).targets == 7
    with pytest.raises(ValueError, match="without gaps"):
        load(tmp_path, records)


def split(**changes: object) -> Split:
    fields = {
        "documents": ("a.txt", "b.txt"),
        "lengths": np.array([2, 3], np.int64),
        "ids": np.array([1, 2, 3, 4, 5], np.uint8),
    }
    return Split(**{**fields, **changes})  # type: ignore[arg-type]


def test_digest_does_not_depend_on_the_order_of_records(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one, other = load(tmp_path, WHOLE), load(tmp_path / "other", WHOLE[::-1])
    assert one.digest(ALPHABET) == other.digest(ALPHABET)


@pytest.mark.parametrize(
    ("fraction", "ids", "lengths"),
    [
        (1.0, [1, 2, 3, 4, 5], [2, 3]),
        (0.6, [2, 4, 5], [1, 2]),
        (0.0, [4, 5], [2]),  # one character is predicted at least
    ],
)
def test_ends_of_documents_have_the_same_part_of_each(fraction: float, ids: list[int], lengths: list[int]) -> None:
    found, of_each = documents.ends(split(), fraction)
    assert (found.tolist(), of_each.tolist()) == (ids, lengths)


@pytest.mark.parametrize(
    "changes",
    [
        {"ids": np.array([1, 2, 3, 4, 6], np.uint8)},
        {"ids": np.array([2, 1, 3, 4, 5], np.uint8)},
        {"lengths": np.array([3, 2], np.int64)},
        {"documents": ("a.txt", "c.txt")},
    ],
    ids=str,
)
def test_every_difference_changes_the_digest(changes: dict[str, object]) -> None:
    assert split(**changes).digest(ALPHABET) != split().digest(ALPHABET)
    assert split().digest(ALPHABET) == split().digest(Vocabulary(ALPHABET.code_points))
    assert split().digest(ALPHABET) != split().digest(Vocabulary(ALPHABET.code_points[::-1]))
