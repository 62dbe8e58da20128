"""The double of an object store has objects only, and dies between two of them."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from tensorflow import errors
from tensorflow.io import gfile

from tests import bucket_operations, bucket_server, warm
from tests.bucket import Bucket, Died

pytestmark = pytest.mark.integration

NAMES = ("a", "b/c", "b/d")


def filled(monkeypatch: pytest.MonkeyPatch, placeholders: bool = False) -> Bucket:
    bucket = Bucket.install(monkeypatch, placeholders)
    for name in NAMES:
        with gfile.GFile(f"gs://bucket/one/{name}", "w") as file:
            file.write(name)
    return bucket


def test_directory_exists_while_an_object_has_its_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    filled(monkeypatch)
    assert gfile.listdir("gs://bucket/one") == ["a", "b/"]
    assert [path for path in ("one", "one/b", "one/a", "on") if gfile.isdir(f"gs://bucket/{path}")] == ["one", "one/b"]
    gfile.makedirs("gs://bucket/empty")
    assert not gfile.exists("gs://bucket/empty")
    assert [(top, sorted(files)) for top, _, files in gfile.walk("gs://bucket/one")] == [
        ("gs://bucket/one", ["a"]),
        ("gs://bucket/one/b/", ["c", "d"]),
    ]
    assert gfile.glob("gs://bucket/*/*") == ["gs://bucket/one/a", "gs://bucket/one/b"]
    gfile.rmtree("gs://bucket/one/b")
    assert not gfile.exists("gs://bucket/one/b")
    with pytest.raises(errors.NotFoundError):
        gfile.listdir("gs://bucket/one/b")


def test_placeholders_stand_for_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    filled(monkeypatch, placeholders=True)
    gfile.makedirs("gs://bucket/two/three")
    assert gfile.isdir("gs://bucket/two/three")
    assert (gfile.listdir("gs://bucket/two"), gfile.listdir("gs://bucket/two/three")) == (["three/"], [])


def test_files_are_copied_to_and_from_the_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bucket = filled(monkeypatch)
    (tmp_path / "local").write_bytes(b"content")
    gfile.copy(str(tmp_path / "local"), "gs://bucket/copy")
    with pytest.raises(errors.AlreadyExistsError):
        gfile.copy(str(tmp_path / "local"), "gs://bucket/copy")
    gfile.copy("gs://bucket/copy", str(tmp_path / "back"))
    assert bucket.objects["gs://bucket/copy"] == (tmp_path / "back").read_bytes() == b"content"
    with gfile.GFile("gs://bucket/copy") as file:
        assert (file.read(3), file.read()) == ("con", "tent")


def test_rename_of_a_directory_that_dies_leaves_two_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = filled(monkeypatch)
    seen = []
    for _ in bucket.killed_in(lambda: gfile.rename("gs://bucket/one", "gs://bucket/two")):
        seen.append((len(bucket.tree("gs://bucket/one")), len(bucket.tree("gs://bucket/two"))))
    assert seen == [(3, 0), (3, 1), (2, 1), (2, 2), (1, 2), (1, 3)]


def test_dead_process_does_not_clean_up(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = filled(monkeypatch)
    bucket.die_after(0)

    def cleaned_up() -> None:
        try:
            gfile.remove("gs://bucket/one/a")
        finally:
            gfile.rmtree("gs://bucket/one")

    with pytest.raises(Died):
        cleaned_up()
    bucket.restart()
    assert len(bucket.tree("gs://bucket/one")) == 3


def test_double_behaves_as_tensorflows_own_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its client of Google Cloud Storage talks to a server on this machine, in another process."""
    folders = [tmp_path / name for name in ("server", "client", "double")]
    for folder in folders:
        folder.mkdir()
    command = [warm.python(), bucket_operations.__file__, str(folders[1])]
    with bucket_server.serving(folders[0]) as variables:
        done = subprocess.run(
            command, env=os.environ | variables, capture_output=True, text=True, timeout=300, check=False
        )
    assert done.returncode == 0, done.stderr
    Bucket.install(monkeypatch, placeholders=True)
    expected = json.loads(done.stdout.splitlines()[-1])
    assert json.loads(json.dumps(bucket_operations.observed(folders[2]))) == expected
    assert len(expected) > 60
