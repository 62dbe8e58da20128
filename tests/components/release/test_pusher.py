"""A blessed model is pushed and registered once; missing versions and entries are restored."""

import datetime
import errno
import fcntl
import json
import multiprocessing
import os
import shutil
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tfx.types import standard_artifacts
from tfx.types.artifact import Artifact

from components.evaluate.evaluation import Figures
from components.models import original, registry, versions
from components.release import pusher
from components.release.pusher import Data, Pusher, push

pytestmark = pytest.mark.integration

FIGURES = Figures(4.5, 2.17, 9.0, 500, 0.0, None)


class Destination(NamedTuple):
    serving: str
    registry: str


def model_at(path: Path, content: str) -> str:
    path.mkdir(parents=True)
    (path / "saved_model.pb").write_text(content)
    return str(path)


@pytest.fixture
def to(tmp_path: Path) -> Destination:
    return Destination(str(tmp_path / "serving" / "mine"), str(tmp_path / "registry" / "mine"))


@pytest.fixture
def model(tmp_path: Path) -> str:
    return model_at(tmp_path / "model", "first")


def pushed(model: str, to: Destination, run_key: str = "run") -> tuple[int, bool]:
    return push(model, FIGURES, to.serving, to.registry, run_key, Data("shakespeare", "eval text", "1,2"))


def test_a_first_model_becomes_version_one_and_is_registered_with_its_figures(model: str, to: Destination) -> None:
    assert pushed(model, to) == (1, True)
    assert versions.digest(f"{to.serving}/1") == versions.digest(model)
    (entry,) = registry.entries(to.registry)
    at = datetime.datetime.fromisoformat(entry.pushed_at)
    assert at.utcoffset() == datetime.timedelta(0)
    assert entry == registry.Entry(
        version=1,
        digest=versions.digest(model),
        run_key="run",
        model=model,
        served=f"{to.serving}/1",
        perplexity=4.5,
        bits_per_character=2.17,
        corpus="shakespeare",
        pushed_at=entry.pushed_at,
        eval_digest="eval text",
        spans="1,2",
    )


def test_statistics_of_the_text_are_kept_with_the_entry(model: str, to: Destination, tmp_path: Path) -> None:
    (tmp_path / "statistics").write_bytes(b"text")
    data = Data("a play", text=str(tmp_path / "statistics"))
    push(model, FIGURES, to.serving, to.registry, "run", data)
    assert Path(registry.text_path(to.registry, 1)).read_bytes() == b"text"
    entry = registry.newest_with_text(to.registry, "")
    assert entry is not None
    assert entry.version == 1
    assert registry.newest_with_text(to.registry, entry.digest) == entry
    assert registry.newest_with_text(to.registry, "another") is None


def test_the_served_model_is_not_pushed_again(tmp_path: Path, model: str, to: Destination) -> None:
    pushed(model, to)
    before = registry.entries(to.registry)
    assert pushed(model, to) == (1, False)
    assert pushed(model_at(tmp_path / "copy", "first"), to, "another run") == (1, False)
    assert versions.complete(to.serving) == [1]
    assert registry.entries(to.registry) == before


def test_version_has_a_model_card(model: str, to: Destination) -> None:
    pushed(model, to)
    facts = json.loads(Path(to.serving, "1", versions.CARD_JSON).read_text())
    assert (facts["model"], facts["version"], facts["data"]["corpus"]) == ("mine", 1, "shakespeare")
    assert (facts["model_digest"], facts["data"]["eval_digest"]) == (versions.digest(model), "eval text")
    assert Path(to.serving, "1", versions.CARD).read_text().startswith("---\nlicense: other\n")


def test_another_model_gets_the_next_version_and_the_old_one_stays(tmp_path: Path, model: str, to: Destination) -> None:
    pushed(model, to)
    assert pushed(model_at(tmp_path / "other", "second"), to) == (2, True)
    assert versions.complete(to.serving) == [1, 2]
    assert [entry.version for entry in registry.entries(to.registry)] == [1, 2]


def test_a_model_that_a_newer_one_replaced_is_pushed_again(tmp_path: Path, model: str, to: Destination) -> None:
    pushed(model, to)
    pushed(model_at(tmp_path / "other", "second"), to)
    assert pushed(model, to) == (3, True)


def test_a_deleted_version_is_pushed_again_under_a_new_number(model: str, to: Destination) -> None:
    pushed(model, to)
    shutil.rmtree(to.serving)
    assert pushed(model, to) == (2, True)
    assert versions.complete(to.serving) == [2]
    assert [(entry.version, entry.served) for entry in registry.entries(to.registry)] == [
        (1, f"{to.serving}/1"),
        (2, f"{to.serving}/2"),
    ]


def test_a_damaged_version_is_pushed_again(model: str, to: Destination) -> None:
    pushed(model, to)
    Path(to.serving, "1", "saved_model.pb").write_text("damaged")
    assert pushed(model, to) == (2, True)
    assert versions.digest(f"{to.serving}/2") == versions.digest(model)


def test_a_version_without_its_graph_is_pushed_again(model: str, to: Destination) -> None:
    pushed(model, to)
    Path(to.serving, "1", "saved_model.pb").unlink()
    assert pushed(model, to) == (2, True)


def test_a_served_model_without_an_entry_is_registered_and_not_pushed(model: str, to: Destination) -> None:
    pushed(model, to)
    shutil.rmtree(to.registry)
    assert pushed(model, to) == (1, False)
    (entry,) = registry.entries(to.registry)
    assert (entry.version, entry.digest) == (1, versions.digest(model))


def test_an_entry_of_another_model_under_the_served_number_is_replaced(
    tmp_path: Path, model: str, to: Destination
) -> None:
    pushed(model_at(tmp_path / "other", "second"), to)
    shutil.rmtree(to.serving)
    versions.publish(model, to.serving)
    assert pushed(model, to) == (1, False)
    assert [entry.digest for entry in registry.entries(to.registry)] == [versions.digest(model)]


def test_entry_names_the_export_that_later_runs_can_open(tmp_path: Path, to: Destination) -> None:
    """The artifact itself may be a pod's own copy."""
    model, exported = model_at(tmp_path / "minio" / "model", "first"), model_at(tmp_path / "checkpoints", "first")
    original.note(model, exported)
    pushed(model, to)
    shutil.rmtree(tmp_path / "minio")
    shutil.rmtree(to.serving)
    assert registry.newest_other(to.registry).path == exported


def test_unreadable_entry_of_the_served_version_is_written_again(model: str, to: Destination) -> None:
    pushed(model, to)
    (before,) = registry.entries(to.registry)
    Path(to.registry, "1.json").write_text("")  # after a loss of power
    assert pushed(model, to) == (1, False)
    (after,) = registry.entries(to.registry)
    assert (after.version, after.digest) == (1, before.digest)


def test_version_of_an_unreadable_entry_is_not_used_again(tmp_path: Path, model: str, to: Destination) -> None:
    pushed(model, to)
    shutil.rmtree(to.serving)
    Path(to.registry, "1.json").write_text("")
    assert pushed(model_at(tmp_path / "other", "second"), to) == (2, True)


# The component


def artifact(kind: type[Artifact], folder: Path, blessing: str | None = None) -> Any:
    folder.mkdir(exist_ok=True)
    made = kind()
    made.uri = str(folder)
    if blessing is not None:
        made.set_int_custom_property("blessed", int("NOT" not in blessing))
        (folder / blessing).touch()
    return made


@pytest.mark.parametrize(
    ("blessing", "infra_blessing", "times"),
    [
        ("BLESSED", "INFRA_BLESSED", 1),
        ("NOT_BLESSED", "INFRA_BLESSED", 0),
        ("BLESSED", "INFRA_NOT_BLESSED", 0),
        ("NOT_BLESSED", "INFRA_NOT_BLESSED", 0),
    ],
)
def test_the_component_pushes_only_with_both_blessings(
    tmp_path: Path, to: Destination, monkeypatch: pytest.MonkeyPatch, blessing: str, infra_blessing: str, times: int
) -> None:
    model_at(tmp_path / "trained" / "Format-Serving", "first")
    monkeypatch.setattr(pusher, "read_figures", lambda *_: Figures(3.5, 1.8, 0.7, 100, 0.0, None))
    target = artifact(standard_artifacts.PushedModel, tmp_path / "pushed")
    Pusher.test_call(
        model=artifact(standard_artifacts.Model, tmp_path / "trained"),
        model_blessing=artifact(standard_artifacts.ModelBlessing, tmp_path / "blessing", blessing),
        infra_blessing=artifact(standard_artifacts.InfraBlessing, tmp_path / "infra", infra_blessing),
        evaluation=artifact(standard_artifacts.ModelEvaluation, tmp_path / "evaluation"),
        statistics=artifact(standard_artifacts.ExampleStatistics, tmp_path / "statistics"),
        text=artifact(standard_artifacts.ExampleStatistics, tmp_path / "text"),
        model_run=artifact(standard_artifacts.ModelRun, tmp_path / "model_run"),
        pushed_model=target,
        serving=to.serving,
        registry_directory=to.registry,
        run_key="run",
        corpus="mine",
        sources="",
    )
    assert target.get_int_custom_property("pushed") == times
    assert versions.complete(to.serving) == [1] * times
    assert [(entry.perplexity, entry.bits_per_character) for entry in registry.entries(to.registry)] == [
        (3.5, 1.8)
    ] * times
    if times:
        assert target.get_string_custom_property("pushed_version") == "1"
        assert target.get_string_custom_property("pushed_destination") == f"{to.serving}/1"


# Several roots, one serving directory


def push_repeatedly(model: str, serving: str, barrier: Any, results: Any) -> None:
    barrier.wait(60)
    results.put((model, [pushed(model, Destination(serving, f"{model}-registry")) for _ in range(10)]))


def test_two_processes_that_push_to_one_serving_directory_wait_for_each_other(tmp_path: Path) -> None:
    """Each pushes its own model repeatedly, because the other one replaces it: every version is complete."""
    serving = tmp_path / "serving" / "mine"
    models = [model_at(tmp_path / name, name * 100_000) for name in "ab"]
    for model in models:  # enough files that an unlocked push would be seen incomplete
        for number in range(20):
            (Path(model) / f"shard-{number}").write_text(model)
    fork = multiprocessing.get_context("fork")  # a spawned process would import TFX for half a minute
    barrier, results = fork.Barrier(2), fork.Queue()
    processes = [fork.Process(target=push_repeatedly, args=(model, str(serving), barrier, results)) for model in models]
    try:
        for process in processes:
            process.start()
        ended = dict(results.get(timeout=120) for _ in processes)
    finally:
        for process in processes:
            process.kill()
            process.join()
    numbers = {model: {version for version, new in ended[model] if new} for model in models}
    assert not set.intersection(*numbers.values()), "no number is used twice"
    assert set(versions.complete(str(serving))) == set.union(*numbers.values())
    assert {path.name for path in serving.iterdir()} == set(map(str, set.union(*numbers.values()))), "no leftovers"
    for model, mine in numbers.items():
        assert mine <= {entry.version for entry in registry.entries(f"{model}-registry")}
        assert {versions.digest(str(serving / str(number))) for number in mine} == {versions.digest(model)}


def test_a_push_waits_for_the_lock_of_the_serving_directory(model: str, to: Destination) -> None:
    Path(to.serving).mkdir(parents=True)
    handle = os.open(to.serving, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    results: list[tuple[int, bool]] = []
    other = threading.Thread(target=lambda: results.append(pushed(model, to)))
    other.start()
    other.join(0.3)
    assert (results, os.listdir(to.serving)) == ([], [])
    os.close(handle)
    other.join(60)
    assert results == [(1, True)]


def test_a_push_to_a_file_system_without_locks_logs_a_warning(
    model: str, to: Destination, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert pushed(model, to) == (1, True)
    assert f"{to.serving} cannot be locked" in caplog.text
