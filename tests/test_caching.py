"""After an edit, exactly the components that depend on it run again.

The test copies the project and runs its `local_runner.py`, so that it can edit code. The runs follow one another, and
edits stay. A run may combine edits whose effects can be distinguished: `test_edits_of_a_run_do_not_hide_each_other`.
An upgrade is simulated with other metadata of the same library. tests/pipeline/test_cache_keys.py tests which libraries
count for which component; here the digests are found among the parameters that TFX compares.

What a component computes is tested elsewhere. To save time, `REPEATED` components compute in the first run only; later
they are executed like all others, but their executors' results are copies of the first ones. The Trainer is executed,
and decides itself what it can reuse, but instead of training and exporting it copies its first export.
"""

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline import cache_keys
from pipeline.cache_keys import Code
from tests import warm

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ("components", "pipeline", "serving", "trainer", "transform", "local_runner.py")
SMALL = {
    "model.units": 16,
    "model.embedding": 8,
    "training.batch_size": 8,
    "training.sequence_length": 25,
    "training.steps": 4,
    "training.eval_every": 4,
    "training.warmup_steps": 1,
    "training.sample_chars": 0,
    "training.measured_chars": 0,
    # Every model is blessed.
    "evaluation.threshold": 1_000_000,
    "evaluation.max_increase": 1_000_000,
}
# Runs the program; executors of the components in the first argument repeat what they did before.
START = """
import shutil, sys
from pathlib import Path
sys.path.insert(0, "")
import local_runner
from pipeline import launch
from tfx.proto.orchestration import execution_result_pb2
repeated = sys.argv.pop(1).split(",")
execute = launch._Launcher._run_executor
def repeat_training(folder):
    from components.models import versions
    from trainer import export, fitting
    def fit(parameters, machine, text, directory, *_):
        Path(directory).mkdir(parents=True)
        return fitting.Fitted(None, None, None, None)
    def save(exported, directory, *_):
        with versions.writing(directory) as place:
            shutil.copytree(folder / "model" / "Format-Serving", place, dirs_exist_ok=True)
    fitting.fit, fitting.losses, export.one_step, export.save = fit, lambda *_: (0.0, 0.0), lambda *_: None, save
def run_executor(launcher, info):
    folder = Path("results", info.pipeline_node.node_info.id)
    result = folder / "result"
    if folder.name == "Trainer" and folder.name in repeated and result.exists():
        repeat_training(folder)
        return execute(launcher, info)
    if folder.name not in repeated:
        return execute(launcher, info)
    if not result.exists():
        done = execute(launcher, info)
        for name, (artifact,) in info.output_dict.items():
            shutil.copytree(artifact.uri, folder / name, dirs_exist_ok=True)
        result.write_bytes(done.SerializeToString())
        return done
    launcher.executed = True
    done = execution_result_pb2.ExecutorOutput.FromString(result.read_bytes())
    for name, (artifact,) in info.output_dict.items():
        shutil.copytree(folder / name, artifact.uri, dirs_exist_ok=True)
        for written in done.output_artifacts[name].artifacts:
            written.uri = artifact.uri
    return done
launch._Launcher._run_executor = run_executor
local_runner._show_text = lambda *_: None
sys.exit(local_runner.main(sys.argv[1:]))
"""
REPEATED = {"StatisticsGen", "Transform", "Trainer", "InfraCheck", "Evaluator"}
AFTER_EVALUATOR = {"Evaluator", "Pusher"}
AFTER_TRAINER = {"Trainer", "LastBlessed", "InfraCheck"} | AFTER_EVALUATOR
# A run with another key than the one before has another last model, with whose text it compares its own.
AFTER_NEW_KEY = {"DriftCheck"} | AFTER_TRAINER
AFTER_TRANSFORM = {"Transform"} | AFTER_TRAINER
AFTER_SCHEMA = {"ImportSchemaGen", "ExampleValidator", "AnomalyGate"} | AFTER_TRANSFORM
AFTER_CORPUS = {"CorpusExampleGen", "StatisticsGen", "ExampleValidator", "AnomalyGate", "DriftCheck"} | AFTER_TRANSFORM
ALL = AFTER_SCHEMA | AFTER_CORPUS


class Project:
    """A copy of the program with a corpus and a root."""

    def __init__(self, directory: Path) -> None:
        self.program, self.root, self.corpus = directory / "program", directory / "root", directory / "play.txt"
        self.settings: dict[str, Any] = dict(SMALL)
        self.program.mkdir(parents=True)
        for name in PROGRAM:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, self.program / name)
        sample = ROOT / "components" / "sample" / "the_lamp_at_harrow_quay.txt"
        self.corpus.write_text(sample.read_text(encoding="utf-8")[:20_000], encoding="utf-8")
        self.serving = self.root / "serving" / "char_rnn"
        self.registry = self.root / "registry" / "char_rnn"

    def run(self, repeated: set[str] = REPEATED) -> dict[str, Any]:
        """Run the program; return its summary, with `served`, `registered`, and `trained` read from disk."""
        summary = self.root.parent / "summary.json"
        summary.unlink(missing_ok=True)
        command = [warm.python(), "-c", START, ",".join(repeated), "--corpus", self.corpus, "--root", self.root]
        command += ["--summary", summary, *(f"--set={key}={value}" for key, value in self.settings.items())]
        environment = {key: value for key, value in os.environ.items() if key not in ("TF_CONFIG", "PYTHONPATH")}
        done = subprocess.run(command, cwd=self.program, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(summary.read_text(encoding="utf-8"))
        found["served"] = sorted(path.name for path in self.serving.iterdir())
        found["registered"] = sorted(path.stem for path in self.registry.glob("*.json"))
        found["trained"] = sorted(path.name for path in (self.root / "checkpoints").iterdir())
        return found

    def append(self, file: str, line: str) -> None:
        with (self.program / file).open("a", encoding="utf-8") as opened:
            opened.write(f"\n{line}\n")

    def set(self, key: str, value: Any) -> None:
        assert self.settings.get(key) != value
        self.settings[key] = value

    def touch_corpus(self) -> None:
        os.utime(self.corpus, (1_000_000_000, 1_000_000_000))

    def change_a_character(self) -> None:
        """Change a character but neither size nor time stamp."""
        before, text = self.corpus.stat(), self.corpus.read_text(encoding="utf-8")
        place = text.index("the", 5_000)
        self.corpus.write_text(text[:place] + "T" + text[place + 1 :], encoding="utf-8")
        os.utime(self.corpus, ns=(before.st_atime_ns, before.st_mtime_ns))
        after = self.corpus.stat()
        assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)

    def upgrade(self, library: str) -> None:
        """Add metadata of another version, which precede those of the installed library."""
        metadata = self.program / f"{library.replace('-', '_')}-99.0.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: {library}\nVersion: 99.0\n", encoding="utf-8")

    def loosen_schema(self) -> None:
        path = self.program / "components" / "validate" / "schema" / "schema.pbtxt"
        before = path.read_text(encoding="utf-8")
        after = before.replace("min: 2", "min: 1")
        assert before != after
        path.write_text(after, encoding="utf-8")


def _line(file: str) -> Callable[[Project], None]:
    return lambda project: project.append(file, "EDITED = True")


@dataclass(frozen=True)
class Edit:
    """A change and the components that depend on it; `own` is the first of them, which runs for no other reason."""

    make: Callable[[Project], None]
    own: str = ""
    reruns: set[str] = field(default_factory=set)


EDITS = {
    "nothing": Edit(lambda project: None),
    "a comment in the trainer": Edit(lambda project: project.append("trainer/loop.py", "# A remark.")),
    "the time stamp of the corpus": Edit(Project.touch_corpus),
    "the registry entry is deleted": Edit(lambda project: (project.registry / "1.json").unlink()),
    "the served version is deleted": Edit(lambda project: shutil.rmtree(project.serving / "1")),
    "a line of the gate": Edit(_line("components/validate/anomaly_gate.py"), "AnomalyGate", {"AnomalyGate"}),
    "a line of the infra check": Edit(_line("serving/probe/in_process.py"), "InfraCheck", {"InfraCheck", "Pusher"}),
    "a metric": Edit(_line("components/evaluate/metrics.py"), "Evaluator", AFTER_EVALUATOR),
    "an upgrade of TFMA": Edit(
        lambda project: project.upgrade("tensorflow-model-analysis"), "Evaluator", AFTER_EVALUATOR
    ),
    "a threshold": Edit(lambda project: project.set("evaluation.threshold", 999_999), "Evaluator", AFTER_EVALUATOR),
    "an export value": Edit(lambda project: project.set("export.temperature", 0.5), "Trainer", AFTER_NEW_KEY),
    "a trainer parameter": Edit(lambda project: project.set("training.learning_rate", 0.01), "Trainer", AFTER_TRAINER),
    "a line of the trainer": Edit(_line("trainer/loop.py"), "Trainer", AFTER_NEW_KEY),
    "the vocabulary code": Edit(_line("transform/preprocessing.py"), "Transform", AFTER_TRANSFORM),
    "the schema": Edit(Project.loosen_schema, "ImportSchemaGen", AFTER_SCHEMA),
    "one character of the corpus": Edit(Project.change_a_character, "CorpusExampleGen", AFTER_CORPUS),
}
# The edits before each run after the first.
NO_EFFECT = ("nothing", "a comment in the trainer", "the time stamp of the corpus", "the registry entry is deleted")
PLAN = (
    NO_EFFECT,
    ("a line of the gate", "the served version is deleted"),
    ("a metric", "a line of the infra check"),
    ("a threshold",),
    ("an export value",),
    ("an upgrade of TFMA",),
    ("a line of the trainer",),
    ("a trainer parameter",),
    ("the schema",),
    ("the vocabulary code",),
    ("one character of the corpus",),
)
COMPUTED = {("an export value",): {"Trainer", "Evaluator"}, ("one character of the corpus",): {"Transform"}}
Runs = dict[tuple[str, ...], dict[str, Any]]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("projects")


@pytest.fixture(scope="module")
def runs(directory: Path) -> Runs:
    """The summary of every run by its edits; the first run has ()."""
    project = Project(directory)
    made: Runs = {(): project.run()}
    for edits in PLAN:
        for edit in edits:
            EDITS[edit].make(project)
        # A component computes where its result is compared.
        made[edits] = project.run(REPEATED - COMPUTED.get(edits, set()))
    return made


def _executed(run: dict[str, Any]) -> set[str]:
    how = {name: component["how"] for name, component in run["components"].items()}
    assert how.keys() == ALL
    assert set(how.values()) <= {"executed", "cached"}
    return {name for name, word in how.items() if word == "executed"}


@pytest.mark.parametrize("edits", PLAN, ids=" + ".join)
def test_edits_of_a_run_do_not_hide_each_other(edits: tuple[str, ...]) -> None:
    for edit in edits:
        others = [EDITS[other].reruns for other in edits if other != edit]
        assert EDITS[edit].own not in set().union(*others)


@pytest.mark.parametrize("edits", PLAN, ids=" + ".join)
def test_components_that_depend_on_an_edit_run_again_and_no_others(runs: Runs, edits: tuple[str, ...]) -> None:
    assert _executed(runs[edits]) == set().union(*(EDITS[edit].reruns for edit in edits))


def test_first_run_executes_everything(runs: Runs) -> None:
    first = runs[()]
    assert _executed(first) == ALL
    assert (first["served"], first["registered"]) == (["1"], ["1"])


def test_deleted_registry_entry_is_restored(runs: Runs) -> None:
    run = runs[NO_EFFECT]
    assert (run["pushed_version"], run["served"], run["registered"]) == ("1", ["1"], ["1"])


def test_deleted_version_is_pushed_again_with_a_new_number(runs: Runs) -> None:
    run = runs["a line of the gate", "the served version is deleted"]
    assert (run["pushed_version"], run["served"], run["registered"]) == ("2", ["2"], ["1", "2"])


def test_edit_that_changes_no_model_pushes_no_version(runs: Runs) -> None:
    for edits in (("a metric", "a line of the infra check"), ("a threshold",)):
        assert (runs[edits]["pushed_version"], runs[edits]["served"]) == ("2", ["2"])


def test_export_value_exports_again_without_training(runs: Runs) -> None:
    before, after = runs["a threshold",], runs["an export value",]
    assert after["trained"] == before["trained"]
    assert after["perplexity"] == before["perplexity"]
    assert after["served"] == ["2", "3"]


@pytest.mark.parametrize("edit", ["a line of the trainer", "a trainer parameter", "one character of the corpus"])
def test_edit_that_changes_the_weights_trains_again(runs: Runs, edit: str) -> None:
    before = runs[PLAN[PLAN.index((edit,)) - 1]]
    assert set(runs[edit,]["trained"]) > set(before["trained"])


def test_schema_that_accepts_the_same_records_does_not_train_again(runs: Runs) -> None:
    before, after = runs["a trainer parameter",], runs["the schema",]
    assert after["trained"] == before["trained"]
    assert after["pushed_version"] == before["pushed_version"]


@pytest.mark.parametrize(
    ("component", "code"),
    [
        ("CorpusExampleGen", cache_keys.INGEST),
        ("AnomalyGate", cache_keys.GATE),
        ("DriftCheck", cache_keys.DRIFT),
        ("Transform", cache_keys.TRANSFORM),
        ("Trainer", cache_keys.TRAINER),
        ("Trainer", cache_keys.EXPORT),
        ("LastBlessed", cache_keys.BASELINE),
        ("Evaluator", cache_keys.EVALUATOR),
        ("InfraCheck", cache_keys.INFRA),
        ("Pusher", cache_keys.PUSHER),
    ],
)
def test_digest_is_one_of_the_parameters_that_tfx_compares(
    runs: Runs, directory: Path, component: str, code: Code
) -> None:
    """In ML Metadata of the first run, before any edit."""
    query = """
        WITH Node AS (SELECT execution_id FROM Association JOIN Context ON context_id = Context.id WHERE name = ?)
        SELECT string_value FROM ExecutionProperty
        WHERE execution_id = (SELECT MIN(execution_id) FROM Node) AND string_value IS NOT NULL"""
    with sqlite3.connect(directory / "root" / "metadata.db") as store:
        parameters = [row[0] for row in store.execute(query, [f"char_rnn.{component}"])]
    assert any(cache_keys.digest(code) in parameter for parameter in parameters), parameters
