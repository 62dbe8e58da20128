"""What is on disk besides artifacts, and what the registries name."""

import json
import os
from pathlib import Path

from components.models import original, registry, versions
from pipeline.config.places import Places
from pipeline.config.run import Config
from pipeline.runs import disk
from pipeline.runs.history import Artifact
from pipeline.runs.retention import Registered, Training

KEY = "0123456789abcdef"


def at(path: Path, content: str = "content", written: float = 100.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    os.utime(path, (written, written))
    return path


def places(root: Path) -> Places:
    return Places(Config(root=str(root)))


def test_training_was_written_when_its_newest_file_was(tmp_path: Path) -> None:
    training = tmp_path / "checkpoints" / KEY
    at(training / "choices.json", written=300.0)
    at(training / "float32" / "ckpt-1.index", written=200.0)
    at(training / "float32" / "model.json", written=400.0)
    at(training / ".deleted-export-1" / "saved_model.pb", written=900.0)
    found = disk.read(places(tmp_path), []).trainings
    parts = ((str(training / "choices.json"), 300.0), (str(training / "float32"), 400.0))
    assert found == (Training(str(training), 400.0, parts),)


def test_directories_that_no_run_makes_are_left_out(tmp_path: Path) -> None:
    for name in (KEY, f"tuner-{KEY}", "backup", ".deleted-0123456789abcdef"):
        at(tmp_path / "checkpoints" / name / "part")
        at(tmp_path / "corpus" / name / "part")
    found = disk.read(places(tmp_path), [])
    assert [Path(one.path).name for one in found.trainings] == [KEY, f"tuner-{KEY}"]
    assert str(tmp_path / "corpus" / "backup") not in found.corpora
    hidden = [str(tmp_path / folder / ".deleted-0123456789abcdef") for folder in ("checkpoints", "corpus")]
    assert disk.unfinished_deletions(places(tmp_path)) == hidden


def test_export_that_a_model_is_a_copy_of_is_found_in_a_moved_root(tmp_path: Path) -> None:
    model = tmp_path / "pipeline" / "Trainer" / "model" / "7"
    at(Path(original.place(str(model))), f"/before/checkpoints/{KEY}/export-1")
    artifacts = [Artifact(1, str(model)), Artifact(2, str(tmp_path / "pipeline" / "Trainer" / "model_run" / "7"))]
    assert disk.read(places(tmp_path), artifacts).exported == ((1, f"{tmp_path}/checkpoints/{KEY}/export-1"),)


def test_registered_models_are_found_with_their_data(tmp_path: Path) -> None:
    """Of three models of the same data, one of which is gone, the newest two are needed."""
    made = places(tmp_path)
    folder = Path(made.registry)
    for number, name in enumerate(("old", "gone", "older", "newest"), 1):
        export = tmp_path / "checkpoints" / KEY / f"export-{name}"
        at(export / "saved_model.pb", name)
        at(export / "assets.extra" / "trained_on.json", json.dumps({"data": "x"}))
        digest = versions.digest(str(export))
        if name == "gone":
            (export / "saved_model.pb").unlink()
        entry = registry.Entry(number, digest, f"run {name}", str(export))
        at(folder / f"{number}.json", json.dumps(entry.__dict__))
    exports = {f"{tmp_path}/checkpoints/{KEY}/export-{name}" for name in ("newest", "older")}
    assert disk.registered(made) == [Registered("char_rnn", "run newest", frozenset(exports))]


def test_size_counts_files_and_no_linked_ones(tmp_path: Path) -> None:
    at(tmp_path / "a" / "one", "x" * 10)
    at(tmp_path / "a" / "b" / "two", "x" * 5)
    at(tmp_path / "large", "x" * 1000)
    assert disk.size(str(tmp_path / "a")) == 15
    assert disk.size(str(tmp_path / "a" / "one")) == 10
    (tmp_path / "a" / "link").symlink_to(tmp_path / "large")
    assert disk.size(str(tmp_path / "a")) < 1000
    assert disk.size(str(tmp_path / "gone")) == 0
