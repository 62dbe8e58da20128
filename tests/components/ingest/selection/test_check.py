"""A corpus is measured, and one that cannot be trained on or evaluated with is refused with advice."""

import gzip
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import UserError
from components.ingest import passages
from components.ingest.corpora import Corpus, resolve
from components.ingest.selection import check as module
from components.ingest.selection.check import check
from components.ingest.selection.facts import CorpusFacts
from components.ingest.text import Reading
from pipeline.config.run import CorpusConfig
from tests.components.ingest.corpus import corpus_of


def test_facts_are_those_of_the_clean_text(tmp_path: Path) -> None:
    contents = {"a.txt": b"\xef\xbb\xbf" + b"ab\r\n" * 400, "b.txt.gz": gzip.compress("é".encode() * 50), "c.txt": b""}
    # 1,200 characters, of which 120 are held out; the short document is in the train split as a whole.
    assert check(corpus_of(tmp_path, contents), 1250, 10, 0.1, 0.0) == CorpusFacts(3, 1250, 119, 4, ("c.txt",))


@given(
    st.lists(st.integers(0, 3000) | st.integers(0, 3), min_size=1, max_size=5),
    st.sampled_from([0.0, 0.1, 0.2]),
    st.integers(1, 99),
)
def test_eval_characters_are_the_eval_targets_that_passages_cut(
    lengths: list[int], test_fraction: float, passage_length: int
) -> None:
    lengths.append(2000)
    contents = {f"{index}.txt": b"x" * length for index, length in enumerate(lengths)}
    with tempfile.TemporaryDirectory() as directory:
        facts = check(corpus_of(Path(directory), contents), 1, passage_length, 0.1, test_fraction)
    targets = [
        len(passage.text) - 1
        for name, content in contents.items()
        for passage in passages.cut(name, content.decode(), passage_length, 0.1, test_fraction)
        if passage.split == "eval"
    ]
    unused = tuple(f"{index}.txt" for index, length in enumerate(lengths) if length < 2)
    used = sum(length for length in lengths if length >= 2)
    assert facts == CorpusFacts(len(lengths), used, sum(targets), 1, unused)


def test_warning_names_at_most_five_unused_documents(tmp_path: Path) -> None:
    documents = {"full.txt": b"x" * 1000}
    assert check(corpus_of(tmp_path / "0", documents), 1, 10, 0.1, 0.0).note is None
    one = check(corpus_of(tmp_path / "1", documents | {"a b.txt": b"\xef\xbb\xbf"}), 1, 10, 0.1, 0.0).note
    assert one is not None
    assert one.startswith("1 of 2 documents have fewer than 2 characters ")
    assert "they are left out: 'a b.txt'. " in one
    many = check(corpus_of(tmp_path / "9", documents | {f"{i}.txt": b"\n" for i in range(9)}), 1, 10, 0.1, 0.0).note
    assert many is not None
    assert "9 of 10 documents" in many
    assert "'0.txt', '1.txt', '2.txt', '3.txt', '4.txt' and 4 more. " in many


@pytest.mark.parametrize("contents", [{"a": b""}, {"a": b" \r\n\t", "b": b"\xef\xbb\xbf"}, {}])
def test_empty_corpus_is_an_error(contents: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'mine' is empty.*Received: \d characters in \d documents?$"):
        check(corpus_of(tmp_path, contents), 0, 10, 0.1, 0.0)


def test_short_corpus_is_an_error(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, {"a": b"x" * 1000, "b": b"y" * 1000})
    assert check(corpus, 2000, 10, 0.1, 0.0).characters == 2000
    with pytest.raises(UserError, match=r"fewer than the 2001 characters.*Received: 2000 characters in 2 documents$"):
        check(corpus, 2001, 10, 0.1, 0.0)


@pytest.mark.parametrize(
    ("lengths", "fraction", "advice"),
    [
        ([990] * 10, 0.1, "Raise eval_fraction to 0.11 or more"),
        ([200] * 10, 0.1, "Raise eval_fraction to 0.5 or more"),
        ([55] * 300, 0.5, "join them to one.*set eval_fraction to 0.01 or more"),
        ([55] * 3, 0.1, "a document of 200 characters is enough with an eval_fraction of 0.5"),
    ],
)
def test_advice_for_a_corpus_without_a_split_can_be_followed(
    lengths: list[int], fraction: float, advice: str, tmp_path: Path
) -> None:
    # Equal documents are in the same split, so one of them is empty.
    corpus = corpus_of(tmp_path, {str(index): b"x" * length for index, length in enumerate(lengths)})
    with pytest.raises(
        UserError, match=rf"no (eval|train) split to.*{advice}.*longest document {lengths[0]} characters"
    ):
        check(corpus, 1, 10, fraction, 0.0)
    if found := re.search(r"eval_fraction (?:to|of) ([0-9.]+\d)", advice):
        joined = "join" in advice or "document of" in advice
        lengths = [max(sum(lengths), 200)] if joined else lengths
        corpus = corpus_of(tmp_path / "followed", {str(i): b"x" * length for i, length in enumerate(lengths)})
        assert check(corpus, 1, 10, float(found[1]), 0.0).eval_chars > 0


@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_many_short_files_are_split_as_wholes(fraction: float, tmp_path: Path) -> None:
    poems = {f"{index}.txt": f"poem {index:03} ".encode() * 6 for index in range(300)}  # 54 characters each
    facts = check(corpus_of(tmp_path, poems), 1, 10, fraction, 0.0)
    assert facts.eval_chars % 53 == 0
    assert facts.eval_chars / 53 / 300 == pytest.approx(fraction, abs=0.05)
    assert facts.characters == 300 * 54


def test_largest_eval_fraction_is_that_of_the_configuration() -> None:
    value = module._LARGEST_EVAL_FRACTION
    assert CorpusConfig(eval_fraction=value).eval_fraction == value
    with pytest.raises(ValueError, match="eval_fraction"):
        CorpusConfig(eval_fraction=value + 0.01)


def test_short_documents_are_counted_and_need_both_splits(tmp_path: Path) -> None:
    lines = [f"name {index}" for index in range(300)]
    corpus = corpus_of(tmp_path / "many", {"a.txt": "\n".join(lines).encode(), "b.txt": b"x"})
    facts = check(corpus, 1, 40, 0.1, 0.0, "line")
    assert (facts.documents, facts.unused) == (301, ("b.txt",))
    pieces = passages.cut("a.txt", "\n".join(lines), 40, 0.1, 0.0, "line")
    assert facts.eval_chars == sum(len(piece.text) - 1 for piece in pieces if piece.split == "eval")
    few = corpus_of(tmp_path / "few", {"a.txt": b"one\ntwo\n"})
    with pytest.raises(UserError, match=r"no eval split to .*Received: corpus\.documents=line.* in 2 documents$"):
        check(few, 1, 40, 0.01, 0.0, "line")
    with pytest.raises(UserError, match=r"corpus\.documents must be one of file, "):
        check(few, 1, 40, 0.1, 0.0, "(")


def test_rows_without_text_are_counted(tmp_path: Path) -> None:
    table = "text,id\n" + "".join(f"name {number},{number}\n" for number in range(300)) + ",300\n\n"
    objects = '{"text": "one"}\n\n{"text": null}\n{"id": 1}\n'
    corpus = corpus_of(tmp_path, {"a.csv": table.encode(), "b.jsonl.gz": gzip.compress(objects.encode())})
    facts = check(corpus, 1, 40, 0.1, 0.0, "row", Reading("text"))
    assert (facts.documents, facts.missing) == (301, 3)
    assert facts.note == "Without text and left out: 3 rows."
    empty = corpus_of(tmp_path / "empty", {"a.csv": b"text,id\n,1\n,2\n"})
    with pytest.raises(UserError, match="is empty"):
        check(empty, 1, 40, 0.1, 0.0, "row", Reading("text"))
    with pytest.raises(UserError, match=r"'b\.jsonl\.gz' has no column 'name'; it has 'text', 'id'\. "):
        check(Corpus("mine", corpus.files[1:], None), 1, 40, 0.1, 0.0, "row", Reading("name"))


def test_bad_document_or_setting_is_named(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, {"good.txt": b"x" * 1000, "poor.txt": b"\xff" * 1000})
    with pytest.raises(UserError, match=r"'poor\.txt' is not UTF-8 at byte offset 0"):
        check(corpus, 1, 10, 0.1, 0.0)
    with pytest.raises(UserError, match="Received: passage_length=0$"):
        check(corpus, 1, 0, 0.1, 0.0)
    with pytest.raises(UserError, match="must sum to less than 1"):
        check(corpus, 1, 10, 0.5, 0.5)
    corpus.files[0].path.unlink()
    with pytest.raises(UserError, match="cannot be read: No such file"):
        check(corpus, 1, 10, 0.1, 0.0)


def test_sizes_of_long_texts(long_text: Callable[[str], Path]) -> None:
    found = [long_text(name) for name in ("shakespeare.txt", "great_expectations.txt")]
    plays, novel = (check(resolve(str(path), None, path.parent), 10_000, 256, 0.1, 0.0) for path in found)
    assert plays == CorpusFacts(1, 1_115_394, 111_539, 65)
    assert novel.documents == 1
    assert 970_000 < novel.characters < 1_049_619 - 19_000
    assert novel.eval_chars == novel.characters - novel.characters * 9 // 10 - 1


# holdout


def held(tmp_path: Path, contents: bytes, name: str = "held.txt") -> Corpus:
    return corpus_of(tmp_path / name, {name: contents})


def test_with_a_holdout_all_of_the_corpus_is_for_training(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "corpus", {"a.txt": b"ab" * 600, "b.txt": b"c" * 90})
    facts = check(corpus, 1, 10, 0.1, 0.0, holdout=held(tmp_path, b"xy" * 100))
    assert facts == CorpusFacts(2, 1290, 199, 3)
    test = check(corpus, 1, 10, 0.1, 0.2, holdout=held(tmp_path, b"xy" * 100))
    assert (test.characters, test.eval_chars) == (1290, 199)


def test_eval_digest_is_that_of_the_eval_text(tmp_path: Path) -> None:
    def digest(train: bytes, text: bytes, rule: str = "file") -> str:
        corpus = corpus_of(tmp_path / "corpus", {"a.txt": train})
        return check(corpus, 1, 10, 0.1, 0.0, rule, holdout=held(tmp_path, text)).eval_digest

    first = digest(b"ab" * 600, b"xy" * 100)
    assert re.fullmatch("[0-9a-f]{16}", first)
    assert digest(b"cd" * 700, b"xy" * 100) == first
    assert digest(b"ab" * 600, b"xz" * 100) != first
    lines = digest(b"ab\ncd\n" * 99, b"emma\nolivia\n" * 20, rule="line")
    assert digest(b"ab\ncd\n" * 99, b"olivia\nemma\n" * 20, rule="line") == lines
    assert digest(b"ab\ncd\n" * 99, b"olivia\nemma\n" * 21, rule="line") != lines


def test_eval_digest_of_a_held_out_part_changes_with_that_part_only(tmp_path: Path) -> None:
    def digest(text: bytes) -> str:
        return check(corpus_of(tmp_path / "corpus", {"a.txt": text}), 1, 10, 0.1, 0.0).eval_digest

    first = digest(b"a" * 1800 + b"b" * 200)
    assert digest(b"c" * 1800 + b"b" * 200) == first
    assert digest(b"a" * 1800 + b"c" * 200) != first


def test_holdout_of_a_table_is_read_by_rows(tmp_path: Path) -> None:
    def table(start: int, count: int) -> bytes:
        return ("text,id\n" + "".join(f"name {start + i:03},{i}\n" for i in range(count))).encode()

    corpus = corpus_of(tmp_path / "corpus", {"a.csv": table(0, 300)})
    facts = check(corpus, 1, 40, 0.1, 0.0, "row", Reading("text"), held(tmp_path, table(270, 60), "held.csv"))
    assert (facts.documents, facts.eval_chars) == (300, 60 * 9)
    assert facts.overlap == 0.5
    assert (facts.note or "").startswith("50.0% of the eval text (corpus.holdout) is in the training text, too, ")


def test_lines_of_the_holdout_that_are_in_the_corpus_are_a_warning(tmp_path: Path) -> None:
    lines = [f"Line {number:03} of a book that has so many.\n".encode() for number in range(200)]
    corpus = corpus_of(tmp_path / "corpus", {"a.txt": b"".join(lines[:150])})
    facts = check(corpus, 1, 10, 0.1, 0.0, holdout=held(tmp_path, b"".join(lines[140:])))
    assert facts.overlap == pytest.approx(10 / 60)
    assert (facts.note or "").startswith("16.7% of the eval text")
    assert check(corpus, 1, 10, 0.1, 0.0, holdout=held(tmp_path, b"".join(lines[150:]))).note is None


@pytest.mark.parametrize("text", [b"", b"\xef\xbb\xbf", b"too short", b" \n" * 200])
def test_holdout_that_measures_nothing_is_an_error(text: bytes, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "corpus", {"a.txt": b"ab" * 600})
    with pytest.raises(UserError, match=r"corpus\.holdout, is too short .*Received: corpus\.holdout=mine, \d+ char"):
        check(corpus, 1, 10, 0.1, 0.0, holdout=held(tmp_path, text))


def test_missing_holdout_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^The eval text, corpus\.holdout, cannot be used\. There is no such corpus.*"):
        module.find_holdout(str(tmp_path / "missing.txt"), tmp_path, None, None)
