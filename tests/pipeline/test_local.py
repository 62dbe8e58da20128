"""The root is locked, and inputs are checked and staged before long work."""

import hashlib
import os
import threading
from pathlib import Path

import pytest

from components.errors import UserError
from components.ingest import corpora
from components.ingest.staging import document_name
from pipeline import cache_keys, local
from pipeline.config.places import Places
from pipeline.config.run import Config, CorpusConfig


def places_at(root: Path) -> Places:
    return Places(Config(root=str(root)))


# locked


def test_free_root_is_locked_without_a_message(tmp_path: Path) -> None:
    messages: list[str] = []
    for _ in range(2):
        with local.locked(places_at(tmp_path / "new" / "root"), messages.append):
            assert (tmp_path / "new" / "root" / "logs").is_dir()
    assert messages == []


def test_second_run_reports_that_it_waits_for_the_first(tmp_path: Path) -> None:
    places = places_at(tmp_path)
    order: list[str] = []
    waiting = threading.Event()

    def say(text: str) -> None:
        order.append(text)
        waiting.set()

    def second() -> None:
        with local.locked(places, say):
            order.append("second")

    runs = threading.Thread(target=second)
    with local.locked(places, order.append):
        runs.start()
        assert waiting.wait(60)
        order.append("first ends")
    runs.join(60)
    assert order[0].startswith(f"Another run is using {tmp_path}; waiting")
    assert order[1:] == ["first ends", "second"]


def test_failed_run_releases_the_root(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), local.locked(places_at(tmp_path), pytest.fail):
        raise ZeroDivisionError
    with local.locked(places_at(tmp_path), pytest.fail):
        pass


@pytest.mark.integration
def test_lock_of_a_killed_run_does_not_block_the_next(tmp_path: Path) -> None:
    places = places_at(tmp_path)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        with local.locked(places, lambda _: None):
            os.write(write, b"x")
            os.kill(os.getpid(), 9)
    assert os.read(read, 1) == b"x"
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == 9
    with local.locked(places, pytest.fail):
        assert Path(places.lock).exists()


def test_runs_with_different_roots_do_not_wait(tmp_path: Path) -> None:
    with local.locked(places_at(tmp_path / "a"), pytest.fail), local.locked(places_at(tmp_path / "b"), pytest.fail):
        pass


def test_root_that_cannot_be_created_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=f"The root cannot be written: .*--root {tmp_path}/file/root"),
        local.locked(places_at(tmp_path / "file" / "root"), pytest.fail),
    ):
        pass


def test_serving_directory_that_cannot_be_created_is_an_error_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    places = Places(Config(root=str(tmp_path / "root"), serving_dir=str(tmp_path / "file" / "below")))
    with (
        pytest.raises(UserError, match=f"The serving directory cannot be written: .*{tmp_path}/file/below"),
        local.locked(places, pytest.fail),
    ):
        pass


def test_read_only_serving_directory_is_an_error_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = places_at(tmp_path)
    # Permissions do not apply to the superuser.
    monkeypatch.setattr(os, "access", lambda path, mode: path != places.serving)
    with pytest.raises(UserError, match="Permission denied"), local.locked(places, pytest.fail):
        pass


def test_serving_directory_in_a_bucket_is_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with local.locked(Places(Config(root=str(tmp_path), serving_dir="gs://bucket/models")), pytest.fail):
        assert not list(tmp_path.glob("gs*"))


def test_serving_directory_that_tensorflow_cannot_open_is_an_error_before_training(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match="opens no other object store.*Received: s3://bucket/models"),
        local.locked(Places(Config(root=str(tmp_path), serving_dir="s3://bucket/models")), pytest.fail),
    ):
        pass


# ingest


def test_corpus_is_found_checked_and_staged(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "one.txt").write_text("abcd" * 500)
    (tmp_path / "texts" / "two.txt").write_text("efgh" * 500)
    config = Config(root=str(tmp_path / "root"), corpus=CorpusConfig(source=str(tmp_path / "texts")))
    corpus, facts, staged, _ = local.ingest(config, Places(config))
    assert corpus.label == str(tmp_path / "texts")
    assert (facts.documents, facts.characters, facts.distinct) == (2, 4000, 8)
    assert Path(staged).parent == tmp_path / "root" / "corpus"
    assert {document_name(path.name): path.read_text()[:4] for path in Path(staged).iterdir()} == {
        "one.txt": "abcd",
        "two.txt": "efgh",
    }


def test_holdout_is_staged_and_the_corpus_is_for_training(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("abcd" * 500)
    (tmp_path / "held.txt").write_text("efgh" * 50)
    settings = CorpusConfig(source=str(tmp_path / "one.txt"), holdout=str(tmp_path / "held.txt"))
    config = Config(root=str(tmp_path / "root"), corpus=settings)
    staged = local.ingest(config, Places(config))
    assert (staged.facts.characters, staged.facts.eval_chars) == (2000, 199)
    assert [path.name for path in Path(staged.holdout).iterdir()] == ["held.txt"]
    (tmp_path / "held.txt").write_text("too short")
    with pytest.raises(UserError, match=r"corpus\.holdout, is too short"):
        local.ingest(config, Places(config))


@pytest.mark.integration
def test_corpus_in_a_bucket_is_staged_like_a_local_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.bucket import Bucket

    bucket = Bucket.install(monkeypatch)
    monkeypatch.setattr(corpora, "DEFAULT_CACHE", tmp_path / "cache")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    (tmp_path / "texts" / "deep").mkdir(parents=True)
    for name in ("one.txt", "deep/two.txt"):
        (tmp_path / "texts" / name).write_text("abcd" * 500)
        bucket.objects[f"gs://bucket/texts/{name}"] = b"abcd" * 500
    remote, local_one = (
        local.ingest(config, Places(config))
        for source in ("gs://bucket/texts", str(tmp_path / "texts"))
        for config in [Config(root=str(tmp_path / "root"), corpus=CorpusConfig(source=source))]
    )
    assert remote.corpus.label == "gs://bucket/texts"
    assert (remote.facts, remote.directory) == (local_one.facts, local_one.directory)


def test_corpus_below_the_configured_minimum_is_an_error_and_not_staged(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("abcd" * 500)
    settings = CorpusConfig(source=str(tmp_path / "short.txt"), min_chars=2001)
    config = Config(root=str(tmp_path / "root"), corpus=settings)
    with pytest.raises(UserError, match="too short"):
        local.ingest(config, Places(config))
    assert not (tmp_path / "root").exists()


# stage_schema


def test_path_of_the_staged_schema_changes_with_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "project" / "components" / "validate" / "schema" / "schema.pbtxt"
    source.parent.mkdir(parents=True)
    monkeypatch.setattr(cache_keys, "ROOT", tmp_path / "project")
    places = places_at(tmp_path)
    paths = []
    for content in ("first", "second", "first"):
        source.write_text(content)
        paths.append(Path(local.stage_schema(places)))
        assert paths[-1].read_text() == content
        assert hashlib.sha256(content.encode()).hexdigest().startswith(paths[-1].parent.name)
    assert paths[0] == paths[2] != paths[1]
    assert sorted(path.name for path in Path(places.schema).rglob("*") if path.is_file()) == ["schema.pbtxt"] * 2


def test_staged_schema_is_not_written_again(tmp_path: Path) -> None:
    places = places_at(tmp_path)
    path = Path(local.stage_schema(places))
    os.utime(path, (5, 5))
    assert local.stage_schema(places) == str(path)
    assert path.stat().st_mtime == 5
