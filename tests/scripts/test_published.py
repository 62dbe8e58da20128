"""Every kind of damage that a killed run could leave is reported."""

import fcntl
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from components.models import versions
from scripts import published

pytestmark = pytest.mark.integration  # digests of models are read by TensorFlow

VERSION = "serving/char_rnn/1"
ENTRY = "registry/char_rnn/1.json"
WEIGHTS = "variables/variables.data-00000-of-00001"


def undisturbed(root: Path, execution: int = 7) -> Path:
    """Write what a run leaves."""
    model = root / "pipeline" / "Trainer" / "model" / str(execution)
    events = root / "pipeline" / "Trainer" / "model_run" / str(execution) / f"events.out.tfevents.{execution}.host"
    contents = {
        model / "saved_model.pb": f"a graph with {root}".ljust(2_000, "."),
        model / WEIGHTS: "weights",
        events: "x" * execution,
        root / "corpus" / "0123456789abcdef" / "play.txt": "To be.",
        root / "logs" / f"2026010{execution}-120000.log": "",
        root / "reports" / f"0123456789abcdef-0123456{execution}.png": "plot",
        root / ".lock": "",
    }
    for path, content in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    next(root.glob("reports/*")).write_bytes(b"plot IEND\xaeB`\x82")
    shutil.copytree(model, root / VERSION)
    shutil.copytree(model, root / "checkpoints" / "0123456789abcdef" / "export-0123456789abcdef")
    served = root / VERSION
    entry = {"version": 1, "digest": versions.digest(str(served)), "model": str(model), "served": str(served)}
    (root / ENTRY).parent.mkdir(parents=True)
    (root / ENTRY).write_text(json.dumps(entry))
    with sqlite3.connect(root / "metadata.db") as store:
        store.execute("CREATE TABLE Artifact (uri TEXT, state INTEGER)")
        rows = [(str(model), 2), (str(events.parent), 2), (str(root / "pipeline" / "Trainer" / "model" / "5"), 1)]
        store.executemany("INSERT INTO Artifact VALUES (?, ?)", rows)
    store.close()
    return root


@pytest.fixture
def wanted(tmp_path: Path) -> published.Expected:
    return published.expected([undisturbed(tmp_path / "one"), undisturbed(tmp_path / "two", execution=8)])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return undisturbed(tmp_path / "killed", execution=9)


def test_undisturbed_run_has_no_fault(root: Path, wanted: published.Expected) -> None:
    assert published.faults(root, wanted) == []
    assert published.final_faults(root, wanted) == []


def test_killed_run_may_have_published_little_or_nothing(root: Path, wanted: published.Expected) -> None:
    for name in ("registry", "serving", "reports"):
        shutil.rmtree(root / name)
        assert published.faults(root, wanted) == []
    shutil.rmtree(root)
    assert published.faults(root, wanted) == []
    assert published.final_faults(root, wanted) != []


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def edit(path: Path, **changes: object) -> None:
    values = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))


ARTIFACT = "pipeline/Trainer/model/9"
EXPORT = "checkpoints/0123456789abcdef/export-0123456789abcdef"


@pytest.mark.parametrize(
    ("damage", "reported"),
    [
        (lambda root: (root / VERSION / "saved_model.pb").unlink(), f"{VERSION}/saved_model.pb: missing"),
        (lambda root: halve(root / VERSION / "saved_model.pb"), f"{VERSION}/saved_model.pb: 1000 bytes and not 2000"),
        (lambda root: halve(root / VERSION / WEIGHTS), f"{WEIGHTS}: its content differs"),
        (lambda root: (root / VERSION / WEIGHTS).write_text("WEIGHTS"), f"{WEIGHTS}: its content differs"),
        (lambda root: (root / "serving" / "char_rnn" / "2").mkdir(), "serving/char_rnn/2/saved_model.pb: missing"),
        (lambda root: (root / VERSION / "part").touch(), f"{VERSION}/part: unexpected"),
        (lambda root: (root / ARTIFACT / WEIGHTS).unlink(), f"{ARTIFACT}/{WEIGHTS}: missing"),
        (lambda root: shutil.rmtree(root / ARTIFACT), f"{ARTIFACT}: missing, but published"),
        (lambda root: (root / EXPORT / WEIGHTS).unlink(), f"{EXPORT}/{WEIGHTS}: missing"),
        (lambda root: halve(root / "corpus" / "0123456789abcdef" / "play.txt"), "play.txt: its content differs"),
        (lambda root: halve(root / ENTRY), f"{ENTRY}: not readable"),
        (lambda root: (root / ENTRY).write_text(""), f"{ENTRY}: not readable"),
        (lambda root: (root / ENTRY).write_text("[]"), f"{ENTRY}: not a complete entry"),
        (lambda root: edit(root / ENTRY, served=None), f"{ENTRY}: not a complete entry"),
        (lambda root: edit(root / ENTRY, version=2), f"{ENTRY}: names another version"),
        (lambda root: edit(root / ENTRY, digest="0"), f"{ENTRY}: its version is missing or has another digest"),
        (lambda root: shutil.rmtree(root / VERSION), f"{ENTRY}: its version is missing"),
        (lambda root: halve(next(root.glob("reports/*"))), ".png: not a complete PNG file"),
    ],
)
def test_damage_is_reported_after_a_kill(
    root: Path, wanted: published.Expected, damage: Callable[[Path], None], reported: str
) -> None:
    damage(root)
    assert reported in "\n".join(published.faults(root, wanted))
    assert reported in "\n".join(published.final_faults(root, wanted))


@pytest.mark.parametrize(
    ("damage", "reported"),
    [
        (lambda root: shutil.copytree(root / VERSION, root / "serving" / "char_rnn" / "2"), "Found: ['1', '2']"),
        (lambda root: (root / ENTRY).unlink(), "Found: ['1'] and []"),
        (lambda root: shutil.rmtree(root / EXPORT), "export: not published"),
        (lambda root: (root / "serving" / "char_rnn" / ".incoming-2").mkdir(), ".incoming-2: left over"),
        (lambda root: shutil.copytree(root / ARTIFACT, root / (ARTIFACT + "9")), "/Trainer/model/99: left over"),
        (lambda root: (root / "registry" / "char_rnn" / ".1.json.0f.partial").touch(), ".1.json.0f.partial: left over"),
        (lambda root: (root / EXPORT).with_suffix(".partial").mkdir(), ".partial: left over"),
    ],
)
def test_what_only_a_killed_run_may_leave_is_reported_at_the_end(
    root: Path, wanted: published.Expected, damage: Callable[[Path], None], reported: str
) -> None:
    damage(root)
    assert published.faults(root, wanted) == []
    assert reported in "\n".join(published.final_faults(root, wanted))


def test_lock_that_is_still_held_is_reported(root: Path, wanted: published.Expected) -> None:
    with (root / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert published.faults(root, wanted) == [f"{root}/.lock: still locked"]


def test_transaction_that_was_killed_is_rolled_back_in_a_copy_only(root: Path, wanted: published.Expected) -> None:
    store = sqlite3.connect(root / "metadata.db", isolation_level=None)
    planned = [(f"{root}/pipeline/Trainer/model/{number:0>1000}",) for number in range(100)]
    store.executemany("INSERT INTO Artifact VALUES (?, 1)", planned)
    store.execute("PRAGMA cache_size = 1")  # so that the transaction reaches the file
    store.execute("BEGIN")
    store.execute("UPDATE Artifact SET state = 2")
    killed = shutil.copytree(root, root.with_name("copy"))
    store.close()
    shutil.rmtree(root)
    killed.rename(root)
    before = (root / "metadata.db").read_bytes()
    assert (root / "metadata.db-journal").exists()
    assert published.faults(root, wanted) == []
    assert (root / "metadata.db").read_bytes() == before
