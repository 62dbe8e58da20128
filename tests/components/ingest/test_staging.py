import errno
import gzip
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import UserError
from components.ingest import passages, staging
from components.ingest.corpora import Corpus, resolve
from components.ingest.local_files import SourceFile
from components.ingest.staging import CorpusFacts, check, document_name, stage
from components.ingest.text import Reading
from pipeline.config.run import CorpusConfig

CONTENTS = {"b.txt": b"abc" * 500, "a/b.txt": b"def" * 100, "a%2Fb c.txt": "né\n".encode()}


def corpus_of(directory: Path, contents: dict[str, bytes]) -> Corpus:
    files = []
    for index, (name, content) in enumerate(sorted(contents.items())):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / str(index)).write_bytes(content)
        files.append(SourceFile(name, directory / str(index)))
    return Corpus("mine", tuple(files), None)


def staged(directory: Path) -> dict[str, bytes]:
    return {document_name(str(path)): path.read_bytes() for path in directory.iterdir()}


# check


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
    with pytest.raises(UserError, match=r"'mine' is empty.*Received: \d characters in \d documents$"):
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
    value = staging._LARGEST_EVAL_FRACTION
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
    assert facts.note == "3 rows have no text and are left out."
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


# stage


def test_copies_are_complete_with_quoted_names_and_no_times(tmp_path: Path) -> None:
    target = stage(corpus_of(tmp_path / "in", CONTENTS), tmp_path / "new" / "out")
    assert target.parent == tmp_path / "new" / "out"
    assert re.fullmatch("[0-9a-f]{16}", target.name)
    assert sorted(path.name for path in target.iterdir()) == ["a%252Fb c.txt", "a%2Fb.txt", "b.txt"]
    assert staged(target) == CONTENTS
    assert {path.stat().st_mtime_ns for path in target.iterdir()} == {0}
    assert not any(path.is_symlink() or path.stat().st_nlink > 1 for path in target.iterdir())
    assert list(target.parent.iterdir()) == [target]


def test_path_depends_on_names_and_contents_only(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "in", CONTENTS)
    target = stage(corpus, tmp_path / "out")
    elsewhere = corpus_of(tmp_path / "elsewhere", CONTENTS)
    os.utime(elsewhere.files[0].path, (5, 5))
    assert stage(Corpus("other", elsewhere.files[::-1], "note"), tmp_path / "out") == target
    others = [
        CONTENTS | {"b.txt": b"abd" * 500},
        {name: content for name, content in CONTENTS.items() if name != "b.txt"},
        {name + "x": content for name, content in CONTENTS.items()},
        {"b.txt": CONTENTS["a/b.txt"], "a/b.txt": CONTENTS["b.txt"], "a%2Fb c.txt": CONTENTS["a%2Fb c.txt"]},
    ]
    targets = {stage(corpus_of(tmp_path / str(i), other), tmp_path / "out") for i, other in enumerate(others)}
    assert len(targets | {target}) == len(others) + 1


@given(
    st.dictionaries(st.text("ab:%0123\u00e9", min_size=1, max_size=5), st.binary(max_size=20), min_size=1, max_size=4)
)
def test_staged_copy_has_all_names_and_contents(contents: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        assert staged(stage(corpus_of(Path(directory, "in"), contents), Path(directory, "out"))) == contents


def test_complete_copy_is_reused(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "in", CONTENTS)
    target = stage(corpus, tmp_path / "out")
    before = {path.name: path.stat().st_ino for path in target.iterdir()}
    assert stage(corpus, tmp_path / "out") == target
    assert {path.name: path.stat().st_ino for path in target.iterdir()} == before


def truncate(target: Path) -> None:
    (target / "b.txt").write_bytes(b"abc")
    os.utime(target / "b.txt", (0, 0))


def replace_by_file(target: Path) -> None:
    shutil.rmtree(target)
    target.write_bytes(b"")


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        replace_by_file,
        lambda target: (target / "b.txt").unlink(),
        lambda target: (target / "extra.txt").write_bytes(b""),
        lambda target: os.utime(target / "b.txt"),
        lambda target: [path.unlink() for path in target.iterdir()],
    ],
)
def test_incomplete_or_changed_copy_is_replaced(damage: Callable[[Path], object], tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "in", CONTENTS)
    target = stage(corpus, tmp_path / "out")
    damage(target)
    assert stage(corpus, tmp_path / "out") == target
    assert staged(target) == CONTENTS
    assert {path.stat().st_mtime_ns for path in target.iterdir()} == {0}
    assert list(target.parent.iterdir()) == [target]


def test_full_disk_leaves_no_partial_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copyfile, calls = shutil.copyfile, []

    def second_fails(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        copyfile(source, target)

    monkeypatch.setattr(shutil, "copyfile", second_fails)
    with pytest.raises(UserError, match="cannot be copied into .* No space left on device"):
        stage(corpus_of(tmp_path / "in", CONTENTS), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_file_in_place_of_the_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match=r"cannot be copied into '.*/file'.*Received: '.*/file/[0-9a-f]{16}'$"):
        stage(corpus_of(tmp_path / "in", CONTENTS), tmp_path / "file")


def test_directory_without_write_permission_is_an_error() -> None:
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as public:
        Path(public).chmod(0o755)
        corpus = corpus_of(Path(public, "in"), CONTENTS)
        Path(public, "out").mkdir(mode=0o555)
        try:
            if user == 0:
                os.seteuid(65534)
            with pytest.raises(UserError, match="cannot be copied into .* Permission denied"):
                stage(corpus, Path(public, "out"))
        finally:
            os.seteuid(user)


def test_name_that_is_too_long_for_the_file_system_is_an_error(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "in", {"\u4e66" * 50 + "/" + "\u4e66" * 50 + ".txt": b"x"})
    with pytest.raises(UserError, match="File name too long.*document names"):
        stage(corpus, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_long_names_of_other_scripts(tmp_path: Path) -> None:
    contents = {
        "\u4e66" * 80 + ".txt": b"x",
        "\u041f\u0440\u0435\u0441\u0442\u0443\u043f\u043b\u0435\u043d\u0438\u0435 " * 9 + ".txt": b"y",
    }
    assert staged(stage(corpus_of(tmp_path / "in", contents), tmp_path / "out")) == contents


def test_deleted_source_is_an_error(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "in", CONTENTS)
    corpus.files[1].path.unlink()
    with pytest.raises(UserError, match="cannot be read: No such file"):
        stage(corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_source_that_changes_while_it_is_copied_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copyfile = shutil.copyfile

    def grow(source: Path, target: Path) -> None:
        with source.open("ab") as file:
            file.write(b"more")
        copyfile(source, target)

    monkeypatch.setattr(shutil, "copyfile", grow)
    with pytest.raises(UserError, match="changed while it was copied"):
        stage(corpus_of(tmp_path / "in", CONTENTS), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_copy_of_another_process_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = corpus_of(tmp_path / "in", CONTENTS)
    target = stage(corpus, tmp_path / "elsewhere")
    copy = staging._copy

    def overtaken(*arguments: object) -> None:
        copy(*arguments)  # type: ignore[arg-type]
        target.rename(tmp_path / "out" / target.name)

    before = {path.name: path.stat().st_ino for path in target.iterdir()}
    monkeypatch.setattr(staging, "_copy", overtaken)
    found = stage(corpus, tmp_path / "out")
    assert {path.name: path.stat().st_ino for path in found.iterdir()} == before
    assert list((tmp_path / "out").iterdir()) == [found]


# document_name


@given(st.text(min_size=1) | st.binary(min_size=1).map(os.fsdecode))
def test_document_name_is_the_inverse_of_quoting(name: str) -> None:
    quoted = staging._staged_name(name)
    assert "/" not in quoted
    assert document_name(quoted) == document_name(f"some/where/{quoted}") == name


def test_document_name_of_a_path_in_a_bucket() -> None:
    assert document_name("gs://bucket/stage/0123456789abcdef/a%2Fb%20c%25.txt") == "a/b c%.txt"
