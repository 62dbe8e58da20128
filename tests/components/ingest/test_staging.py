import errno
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
from components.ingest import staging
from components.ingest.corpora import Corpus
from components.ingest.staging import document_name, stage
from tests.components.ingest.corpus import corpus_of

CONTENTS = {"b.txt": b"abc" * 500, "a/b.txt": b"def" * 100, "a%2Fb c.txt": "né\n".encode()}


def staged(directory: Path) -> dict[str, bytes]:
    return {document_name(str(path)): path.read_bytes() for path in directory.iterdir()}


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
