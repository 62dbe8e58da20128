"""Models of `models.config`, updated in the background, with an export that has one signature: they load many."""

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf

from components import files
from components.errors import UserError
from pipeline.config.serving import BatchingSettings
from serving.embedded.metrics import Metrics
from serving.embedded.models.catalogue import Catalogue
from serving.embedded.statuses import RequestError
from serving.graph import signatures, warmup
from serving.graph.one_step import Defaults, OneStep, Weights
from serving.tf_serving.model_config import All, Latest, ServedModel, Specific, merged
from transform.vocabulary import Vocabulary

pytestmark = pytest.mark.integration


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class ServingDirectory:
    """A serving directory and a catalogue that serves it."""

    def __init__(self, root: Path, export: Path) -> None:
        self.root, self.export = root, export
        self.config = root / "models.config"
        self.metrics = Metrics()
        self.catalogue: Catalogue | None = None

    def push(self, model: str, version: int) -> "ServingDirectory":
        shutil.copytree(self.export, self.root / model / ".new")
        (self.root / model / ".new").rename(self.root / model / str(version))
        return self

    def write(self, *models: ServedModel) -> "ServingDirectory":
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


@pytest.fixture(scope="module")
def small_export(exported: tuple[SimpleNamespace, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export that only scores, with a warm-up request."""
    directory = tmp_path_factory.mktemp("small") / "model"
    model = OneStep(Weights(**vars(exported[0])), Vocabulary(tuple(map(ord, exported[1]))), Defaults(40, 0.8, 0, 100))
    tf.saved_model.save(model, str(directory), signatures={"score": signatures.build(model)["score"]})
    requests = [request for request in warmup.requests(model.state_size) if request[0] == "score"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warmup, "requests", lambda _: iter(requests))
        warmup.write(str(directory), "char_rnn", model.state_size)
    return directory


@pytest.fixture
def directory(tmp_path: Path, small_export: Path) -> Iterator[ServingDirectory]:
    before = set(threading.enumerate())
    one = ServingDirectory(tmp_path, small_export)
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


def test_models_are_loaded_at_the_start_and_new_versions_follow(directory: ServingDirectory) -> None:
    directory.push("a", 1).push("b", 3).write(directory.entry("a"), directory.entry("b"))
    catalogue = directory.start()
    assert (newest(catalogue, "a"), newest(catalogue, "b")) == (1, 3)
    assert directory.warm_ups() == ["a/1", "b/3"]
    directory.push("a", 2)
    until(lambda: newest(catalogue, "a") == 2)
    until(lambda: [one.state for one in catalogue.status("a", None)] == ["AVAILABLE", "END"])
    assert [one.number for one in catalogue.status("a", 1)] == [1]


def test_loads_are_counted_by_their_result(directory: ServingDirectory) -> None:
    directory.push("a", 1).write(directory.entry("a", All()))
    broken = directory.root / "a" / "2" / "saved_model.pb"
    broken.parent.mkdir()
    broken.write_bytes(b"broken")
    directory.start()
    loads = re.findall(r'load_attempt_count\{model_path="[^"]*/a/(.)",status="(.*)"\} (.*)', directory.metrics.text())
    assert loads == [("1", "success", "1"), ("2", "fail", "1")]


def test_unknown_models_and_versions(directory: ServingDirectory) -> None:
    directory.push("a", 1).write(directory.entry("a"), directory.entry("empty"))
    catalogue = directory.start()
    assert (catalogue.knows("a"), catalogue.knows("b")) == (True, False)
    for request, expected in [
        (lambda: catalogue.status("b", None), "Could not find any versions of model b"),
        (lambda: catalogue.status("empty", None), "Could not find any versions of model empty"),
        (lambda: catalogue.status("a", 7), "Could not find version 7 of model a"),
        (lambda: catalogue.model("b"), r"Servable not found for request: Latest\(b\)"),
    ]:
        with pytest.raises(RequestError, match=expected):
            request()


def test_changes_of_labels_policies_and_models_apply(directory: ServingDirectory) -> None:
    directory.push("a", 1).push("a", 2).push("b", 1).write(directory.entry("a", All(), stable=1), directory.entry("b"))
    catalogue = directory.start()
    assert newest(catalogue, "a", "stable") == 1
    directory.write(directory.entry("a", All(), stable=2), directory.entry("c"))
    until(lambda: newest(catalogue, "a", "stable") == 2)
    until(lambda: not catalogue.knows("b") and catalogue.knows("c"))
    directory.write(directory.entry("a", Specific((1,))))
    until(lambda: newest(catalogue, "a") == 1)


def test_a_configuration_that_is_missing_or_broken_changes_nothing(
    directory: ServingDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UserError, match="models to serve does not exist"):
        directory.start()
    catalogue = directory.push("a", 1).write(directory.entry("a")).start()
    directory.config.unlink()
    until(lambda: "does not exist" in caplog.text)
    directory.config.write_text("model_config_list {")
    until(lambda: "model_config_list" in caplog.text)
    caplog.clear()  # the file may have been empty while it was written
    directory.config.write_text("")
    until(lambda: "is empty" in caplog.text)
    directory.config.write_text("model_config_list {}")
    until(lambda: "lists no model" in caplog.text)
    time.sleep(0.2)  # several more scans
    assert newest(catalogue, "a") == 1
    assert caplog.text.count("lists no model") == 1
    directory.write(directory.entry("a", All(), x=1))
    until(lambda: newest(catalogue, "a", "x") == 1)


def test_another_base_path_replaces_the_model_when_a_version_is_available(directory: ServingDirectory) -> None:
    directory.push("a", 1).push("b", 2).write(directory.entry("a", stable=1))
    catalogue = directory.start()
    elsewhere = replace(directory.entry("b", stable=2), name="a")
    (directory.root / "b" / "2").rename(directory.root / "b" / "later")
    directory.write(elsewhere, directory.entry("c"))
    until(lambda: catalogue.knows("c"))  # the file was read
    assert (newest(catalogue, "a"), newest(catalogue, "a", "stable")) == (1, 1)
    found = set()
    (directory.root / "b" / "later").rename(directory.root / "b" / "2")
    until(lambda: found.add((newest(catalogue, "a"), newest(catalogue, "a", "stable"))) or (2, 2) in found)
    assert found == {(1, 1), (2, 2)}
    assert [one.number for one in catalogue.status("a", None)] == [2]


def test_a_reverted_base_path_changes_nothing(directory: ServingDirectory) -> None:
    directory.push("a", 1).write(directory.entry("a"))
    catalogue = directory.start()
    directory.write(replace(directory.entry("nowhere"), name="a"), directory.entry("c"))
    until(lambda: catalogue.knows("c"))
    directory.write(directory.entry("a", x=1))
    until(lambda: newest(catalogue, "a", "x") == 1)
    assert directory.warm_ups() == ["a/1"]


def test_without_polling_only_a_new_configuration_starts_a_scan(directory: ServingDirectory) -> None:
    catalogue = directory.push("a", 1).write(directory.entry("a", All())).start(poll=0.0, config_poll=0.05)
    directory.push("a", 2)
    directory.write(directory.entry("a", All(), x=1))  # a new configuration starts a scan
    until(lambda: newest(catalogue, "a") == 2)
    assert directory.warm_ups() == ["a/1", "a/2"]


def test_nothing_is_loaded_after_stop_loading(directory: ServingDirectory) -> None:
    directory.push("a", 1).write(directory.entry("a"))
    catalogue = Catalogue(str(directory.config), BatchingSettings(threads=1), 0.05, 0.0, Metrics())
    catalogue.stop_loading()
    catalogue.start()  # returns, although no version is available
    assert newest(catalogue, "a") == 0
    catalogue.close()
