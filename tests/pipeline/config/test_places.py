"""All paths are below the root, except a separate serving directory; URLs of buckets are kept."""

import doctest
import os
from pathlib import Path

import pytest

from components.errors import UserError
from pipeline.config import places as module
from pipeline.config.places import Places
from pipeline.config.run import Config


def test_example_runs() -> None:
    assert doctest.testmod(module).failed == 0


def test_only_a_separate_serving_directory_is_outside_the_root(tmp_path: Path) -> None:
    config = Config(root=str(tmp_path / "root"), serving_dir=str(tmp_path / "served"), model_name="mine")
    places = vars(Places(config))
    assert places.pop("root") == str(tmp_path / "root")
    assert places.pop("serving") == str(tmp_path / "served" / "mine")
    assert {Path(place).relative_to(tmp_path / "root").as_posix() for place in places.values()} == {
        "pipeline",
        "metadata.db",
        "corpus",
        "schema",
        "checkpoints",
        "registry/mine",
        "logs",
        "reports",
        ".lock",
    }


def test_serving_directory_is_below_the_root_by_default(tmp_path: Path) -> None:
    assert Places(Config(root=str(tmp_path))).serving == str(tmp_path / "serving" / "char_rnn")


def test_models_of_one_root_have_separate_registries_and_serving_directories(tmp_path: Path) -> None:
    one, two = (vars(Places(Config(root=str(tmp_path), model_name=name))) for name in ("one", "two"))
    assert {name for name in one if one[name] != two[name]} == {"registry", "serving"}


def test_local_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    places = Places(Config(root="out", serving_dir="~/served"))
    assert places.metadata == str(tmp_path / "out" / "metadata.db")
    assert places.serving == str(tmp_path / "home" / "served" / "char_rnn")


def test_bucket_url_is_kept() -> None:
    places = Places(Config(root="gs://bucket/runs", serving_dir="s3://models"))
    assert places.checkpoints == "gs://bucket/runs/checkpoints"
    assert places.serving == "s3://models/char_rnn"


@pytest.mark.parametrize("folder", ["registry", "serving"])
def test_directory_of_a_model_that_differs_in_case_is_refused(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("Poems", "poems", "POEMS")
    places = {name: Places(Config(root=str(tmp_path), model_name=name)) for name in names}
    (tmp_path / folder / "Poems").mkdir(parents=True)
    for name in names:
        places[name].check_names()  # on this file system they are different

    def exists(path: str) -> bool:
        """As on a file system that ignores case."""
        parent = Path(path).parent
        return parent.is_dir() and Path(path).name.lower() in [one.lower() for one in os.listdir(parent)]

    monkeypatch.setattr(os.path, "exists", exists)
    places["Poems"].check_names()
    Places(Config(root=str(tmp_path), model_name="prose")).check_names()
    for name in ("poems", "POEMS"):
        with pytest.raises(UserError, match=f"The model Poems uses .* Received: --model {name}, {tmp_path}/{folder}"):
            places[name].check_names()
