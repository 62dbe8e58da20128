"""Models of `models.config`, kept up to date in the background, with a real export."""

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from components import files
from components.errors import UserError
from pipeline.config.serving import BatchingSettings
from serving.embedded.metrics import Metrics
from serving.embedded.models.catalogue import Catalogue
from serving.embedded.statuses import RequestError
from serving.tf_serving.model_config import All, Latest, ServedModel, Specific, merged

pytestmark = pytest.mark.integration


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Place:
    """A serving directory, and a catalogue over it."""

    def __init__(self, root: Path, export: Path) -> None:
        self.root, self.export = root, export
        self.config = root / "models.config"
        self.metrics = Metrics()
        self.catalogue: Catalogue | None = None

    def push(self, model: str, version: int) -> "Place":
        shutil.copytree(self.export, self.root / model / ".new")
        (self.root / model / ".new").rename(self.root / model / str(version))
        return self

    def write(self, *models: ServedModel) -> "Place":
        text = ""
        for model in models:
            text = merged(text, model)
        files.write(str(self.config), text)
        return self

    def entry(self, name: str, policy: Latest | All | Specific = Latest(), **labels: int) -> ServedModel:  # noqa: B008
        return ServedModel(name, str(self.root / name), policy, labels)

    def warm_ups(self) -> list[str]:
        """Directories of the versions that were loaded and warmed up."""
        found = re.findall(
            r'model_warmup_latency_count\{model_path="([^"]*)",status="OK"\} 1$', self.metrics.text(), re.M
        )
        return [str(Path(path).relative_to(self.root)) for path in found]

    def start(self, poll: float = 0.05, config_poll: float = 0.05) -> Catalogue:
        self.catalogue = Catalogue(str(self.config), BatchingSettings(threads=1), poll, config_poll, self.metrics)
        self.catalogue.start()
        return self.catalogue


@pytest.fixture
def place(tmp_path: Path, export_dir: Path) -> Iterator[Place]:
    before = set(threading.enumerate())
    one = Place(tmp_path, export_dir)
    yield one
    if one.catalogue:
        one.catalogue.close()
    until(lambda: not [thread for thread in set(threading.enumerate()) - before if thread.is_alive()])


def newest(catalogue: Catalogue, model: str, label: str | None = None) -> int:
    try:
        with catalogue.model(model).use(label=label) as (number, _):
            return number
    except RequestError:
        return 0


def test_models_are_loaded_at_the_start_and_new_versions_follow(place: Place) -> None:
    place.push("a", 1).push("b", 3).write(place.entry("a"), place.entry("b"))
    catalogue = place.start()
    assert (newest(catalogue, "a"), newest(catalogue, "b")) == (1, 3)
    assert place.warm_ups() == ["a/1", "b/3"]
    place.push("a", 2)
    until(lambda: newest(catalogue, "a") == 2)
    until(lambda: [one.state for one in catalogue.status("a", None)] == ["AVAILABLE", "END"])
    assert [one.number for one in catalogue.status("a", 1)] == [1]


def test_models_and_versions_that_are_not_there(place: Place) -> None:
    place.push("a", 1).write(place.entry("a"), place.entry("empty"))
    catalogue = place.start()
    assert (catalogue.knows("a"), catalogue.knows("b")) == (True, False)
    for ask, expected in [
        (lambda: catalogue.status("b", None), "Could not find any versions of model b"),
        (lambda: catalogue.status("empty", None), "Could not find any versions of model empty"),
        (lambda: catalogue.status("a", 7), "Could not find version 7 of model a"),
        (lambda: catalogue.model("b"), r"Servable not found for request: Latest\(b\)"),
    ]:
        with pytest.raises(RequestError, match=expected):
            ask()


def test_labels_policies_and_models_are_followed(place: Place) -> None:
    place.push("a", 1).push("a", 2).push("b", 1).write(place.entry("a", All(), stable=1), place.entry("b"))
    catalogue = place.start()
    assert newest(catalogue, "a", "stable") == 1
    place.write(place.entry("a", All(), stable=2), place.entry("c"))
    until(lambda: newest(catalogue, "a", "stable") == 2)
    until(lambda: not catalogue.knows("b") and catalogue.knows("c"))
    place.write(place.entry("a", Specific((1,))))
    until(lambda: newest(catalogue, "a") == 1)


def test_a_configuration_that_is_missing_or_broken_changes_nothing(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UserError, match="models to serve does not exist"):
        place.start()
    catalogue = place.push("a", 1).write(place.entry("a")).start()
    place.config.unlink()
    until(lambda: "does not exist" in caplog.text)
    place.config.write_text("model_config_list {")
    until(lambda: "model_config_list" in caplog.text)
    caplog.clear()  # writing in place may have shown an empty file before
    place.config.write_text("")
    until(lambda: "lists no model" in caplog.text)
    time.sleep(0.2)  # some more looks
    assert newest(catalogue, "a") == 1
    assert caplog.text.count("lists no model") == 1
    place.write(place.entry("a", All(), x=1))
    until(lambda: newest(catalogue, "a", "x") == 1)


def test_another_directory_takes_over_when_a_version_of_it_answers(place: Place) -> None:
    place.push("a", 1).push("b", 2).write(place.entry("a", stable=1))
    catalogue = place.start()
    elsewhere = replace(place.entry("b", stable=2), name="a")
    (place.root / "b" / "2").rename(place.root / "b" / "later")
    place.write(elsewhere, place.entry("c"))
    until(lambda: catalogue.knows("c"))  # the file was read
    assert (newest(catalogue, "a"), newest(catalogue, "a", "stable")) == (1, 1)
    found = set()
    (place.root / "b" / "later").rename(place.root / "b" / "2")
    until(lambda: found.add((newest(catalogue, "a"), newest(catalogue, "a", "stable"))) or (2, 2) in found)
    assert found == {(1, 1), (2, 2)}
    assert [one.number for one in catalogue.status("a", None)] == [2]


def test_a_directory_that_was_taken_back_changes_nothing(place: Place) -> None:
    place.push("a", 1).write(place.entry("a"))
    catalogue = place.start()
    place.write(replace(place.entry("nowhere"), name="a"), place.entry("c"))
    until(lambda: catalogue.knows("c"))
    place.write(place.entry("a", x=1))
    until(lambda: newest(catalogue, "a", "x") == 1)
    assert place.warm_ups() == ["a/1"]


def test_what_is_not_to_be_looked_at_again_is_not(place: Place) -> None:
    catalogue = place.push("a", 1).write(place.entry("a", All())).start(poll=0.0, config_poll=0.05)
    place.push("a", 2)
    place.write(place.entry("a", All(), x=1))  # another configuration, though, is looked at, and then the versions are
    until(lambda: newest(catalogue, "a") == 2)
    assert place.warm_ups() == ["a/1", "a/2"]


def test_after_the_end_nothing_more_is_loaded(place: Place) -> None:
    place.push("a", 1).write(place.entry("a"))
    catalogue = Catalogue(str(place.config), BatchingSettings(threads=1), 0.05, 0.0, Metrics())
    catalogue.stop_loading()
    catalogue.start()  # comes back, though there is nothing to answer with
    assert newest(catalogue, "a") == 0
    catalogue.close()
