"""Nothing that a kept run needs is chosen, everything else is, and a repetition of a kept run is cached as before."""

import random

import pytest

from pipeline.runs import retention
from pipeline.runs.history import Artifact, Run
from pipeline.runs.retention import Blessed, Registered
from tests.pipeline.runs.simulated import KIND, Settings, Simulation, simulate

POEMS = Settings("poems", "text 1")
HISTORIES = 1000


def clean(root: Simulation, keep: int) -> tuple[Run, ...]:
    choice = retention.choose(root.history(), root.disk(), root.registered(), keep)
    root.delete(choice)
    return choice.kept


def repeated(root: Simulation, run: Run) -> tuple[list[tuple[str, str]], set[str], set[str]]:
    """Repeat a run.

    Returns:
      How each component would end, which trainings would begin, and which checkpoints and exports would be written.
    """
    copied = root.copy()
    states = [(one.node, one.state) for one in copied.run(root.settings[root.runs.index(run)]).executions]
    written = {path for parts in copied.checkpoints.values() for path, time in parts.items() if time > root.clock}
    return states, copied.checkpoints.keys() - root.checkpoints.keys(), written


def check(before: Simulation, after: Simulation, kept: tuple[Run, ...], keep: int) -> None:
    names = {run.name for run in kept}
    for model in {run.model for run in before.runs}:
        of_model = [run for run in before.runs if run.model == model]
        assert {run.name for run in of_model[-keep:]} <= names
        for run in [run for run in of_model if run.finished][-1:]:
            assert repeated(after, run) == repeated(before, run)
        # Where a killed run would have used the cache next is not recorded; what was trained is found by its content.
        assert repeated(after, of_model[-1])[1:] == repeated(before, of_model[-1])[1:]
    for run in kept:
        for one in run.executions:
            assert all(map(after.live, one.inputs | one.outputs))
            if one.succeeded:
                assert after.cached(after.keys[one.id]) == before.cached(before.keys[one.id])
            for number in one.outputs:
                if number in before.exported:
                    assert after.exists(after.exported[number])
            if one.node == "CorpusExampleGen":
                assert one.properties["input_base"] in after.corpora
            if one.node == "Trainer" and not one.succeeded:  # it can be resumed
                written = [p for parts in before.checkpoints.values() for p, t in parts.items() if t == one.ended - 2]
                assert all(after.exists(part) for part in written)
    for model, entries in before.registries.items():
        if newest := next(before.blessed(model), None):  # its lineage
            assert any(run.finished and run.record["run_key"] == newest.run_key for run in kept)
        for value in {entry.run_key for entry in entries} | {"new"}:
            assert after.newest_other(model, run_key=value) == before.newest_other(model, run_key=value)
        for value in {entry.digest for entry in entries} | {"new"}:
            assert after.newest_other(model, digest=value) == before.newest_other(model, digest=value)
        for value in {entry.data for entry in entries} | {"new"}:
            assert after.initial_model(model, value) == before.initial_model(model, value)
    needed = {number for run in kept for one in run.executions for number in one.inputs | one.outputs}
    assert {number for number in after.artifacts if after.live(number)} == needed
    again = retention.choose(after.history(), after.disk(), after.registered(), keep)
    assert (again.kept, again.directories) == (kept, ())


def test_nothing_needed_is_gone_and_a_run_after_it_is_still_cached() -> None:
    deleted = 0
    for seed in range(HISTORIES):
        before = simulate(seed)
        keep = random.Random(seed).randint(1, 4)
        after = before.copy()
        kept = clean(after, keep)
        try:
            check(before, after, kept, keep)
        except AssertionError as error:
            raise AssertionError(f"history {seed}, --keep {keep}") from error
        deleted += len(before.checkpoints) - len(after.checkpoints)
    assert deleted > HISTORIES / 2


def test_newest_finished_run_is_kept_with_the_runs_after_it() -> None:
    root = Simulation()
    for steps, stop in ((1, None), (2, None), (3, "Trainer"), (4, "Trainer")):
        root.run(Settings("poems", "text", steps), stop)
    assert [run.name for run in clean(root, 1)] == ["run 2", "run 3", "run 4"]


def test_without_a_finished_run_all_are_kept() -> None:
    root = Simulation()
    for steps in (1, 2, 3):
        root.run(Settings("poems", "text", steps), "Trainer")
    assert len(clean(root, 1)) == 3


def test_each_model_keeps_its_runs() -> None:
    root = Simulation()
    for model in ("poems", "plays", "plays"):
        root.run(Settings(model, "text", blessed=False, steps=len(root.runs)))
    assert [run.model for run in clean(root, 1)] == ["poems", "plays"]


def test_run_of_the_last_blessed_model_is_kept() -> None:
    root = Simulation()
    for steps in (1, 2, 3):
        root.run(Settings("poems", "text", steps, blessed=steps == 1))
    assert [run.name for run in clean(root, 1)] == ["run 1", "run 3"]


def test_training_that_a_killed_run_would_resume_is_kept() -> None:
    root = Simulation()
    root.run(POEMS, "Trainer", "RUNNING")
    root.run(Settings("poems", "text 1", steps=2))
    root.run(POEMS, "CorpusExampleGen", "RUNNING")
    training = next(iter(root.checkpoints))
    assert [run.name for run in clean(root, 1)] == ["run 1", "run 2", "run 3"]
    assert training in root.checkpoints


def test_export_of_other_settings_is_deleted_and_the_checkpoints_stay() -> None:
    root = Simulation()
    for export in (1, 2):
        root.run(Settings("poems", "text", export=export, blessed=False))
    (parts,) = root.checkpoints.values()
    first, second = (path for path in parts if "export-" in path)
    clean(root, 1)
    assert [path.rpartition("/")[2] for path in parts] == [KIND, second.rpartition("/")[2]]


def test_checkpoints_older_than_all_runs_stay() -> None:
    """ML Metadata does not know to whom they belong: its file was replaced, for example."""
    root = Simulation()
    root.checkpoints["/root/checkpoints/0123456789abcdef"] = {"/root/checkpoints/0123456789abcdef/choices.json": 1.0}
    root.corpora.add("/root/corpus/0123456789abcdef")
    for steps in (1, 2):
        root.run(Settings("poems", "text", steps))
    clean(root, 1)
    assert "/root/checkpoints/0123456789abcdef" in root.checkpoints
    assert "/root/corpus/0123456789abcdef" in root.corpora


@pytest.mark.parametrize("uri", ["/other/pipeline/Trainer/model/1", "gs://bucket/pipeline/Trainer/model/1"])
def test_artifact_outside_of_the_root_stays(uri: str) -> None:
    root = Simulation()
    for steps in (1, 2):
        root.run(Settings("poems", f"text {steps}", steps, blessed=False))
    root.artifacts[1] = Artifact(1, uri)
    clean(root, 1)
    assert [number for number in range(1, 9) if root.live(number)] == [1]


def test_registered_model_in_an_artifact_keeps_the_artifact() -> None:
    root = Simulation()
    for steps in (1, 2):
        root.run(Settings("poems", "text", steps, blessed=False))
    model = next(iter(root.exported))
    entries = [Blessed(f"{root.artifacts[model].uri}/Format-Serving", "key", "digest", None)]
    registered = [retention.registered("poems", entries)]
    chosen = retention.choose(root.history(), root.disk(), registered, 1).artifacts
    assert model not in {one.id for one in chosen}
    assert len(chosen) > 3


def test_artifact_inside_of_another_one_stays_with_it() -> None:
    root = Simulation()
    for steps in (1, 2):
        root.run(Settings("poems", f"text {steps}", steps, blessed=False))
    last = root.artifacts[len(root.artifacts)]
    root.artifacts[1] = Artifact(1, f"{last.uri}/part")
    clean(root, 1)
    assert root.live(1)


def test_no_more_entries_of_a_registry_are_read_than_needed() -> None:
    values = [("a", "1", "x"), ("a", "1", "x"), ("b", "2", "x"), ("c", "3", None), ("d", "4", "y"), ("e", "5", "z")]
    entries = (Blessed(f"model {place}", *value) for place, value in enumerate(values))
    found = retention.registered("poems", entries)
    assert found == Registered("poems", "a", frozenset({"model 0", "model 2", "model 4"}))
    assert next(entries).run_key == "e"
