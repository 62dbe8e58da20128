"""A digest changes with the code and with the versions of its libraries only.

tests/test_caching.py checks that the pipeline uses each digest, and which components run again.
"""

import ast
import doctest
from importlib import metadata
from pathlib import Path

import pytest

from pipeline import cache_keys
from pipeline.cache_keys import Code

CODE = '''"""Module."""
import os

LIMIT = 3  # entries


class Reader:
    """Reads."""

    def read(self, path: str) -> list[str]:
        """Read names.

        Args:
          path: where.
        """
        return sorted(os.listdir(path))[:LIMIT]
'''
PROJECT = Path(cache_keys.__file__).parent.parent
PACKAGES = ("components", "pipeline", "serving", "trainer", "transform")
# Files that a training imports but that do not determine its output, and why.
HARMLESS_TO_TRAINING = {
    "trainer/cluster/environment.py",  # decides which processes compute, not what
    "trainer/cluster/collective.py",  # the same
    "trainer/progress.py",  # only shows the progress of training
    "components/models/registry.py",  # finds the initial model, whose digest is in the key of the training
    "components/models/versions.py",  # the same; copies the export
    "components/files.py",  # decides how a file is written, not its content
    "components/cpu_quota.py",  # decides how many threads compute, not what
    "components/command_line.py",  # words of messages
    "components/startup.py",  # the same
    "components/models/training.py",  # states what a training cost
    "pipeline/config/run.py",  # its values are the component's parameters
    "pipeline/config/training.py",  # the same
    "pipeline/config/cluster.py",  # the same
    "pipeline/config/corpus.py",  # the same
    "pipeline/config/pods.py",  # the same
    "pipeline/config/section.py",  # the same
    "pipeline/config/serving.py",  # the same
}
ALL = {name: value for name, value in vars(cache_keys).items() if name.isupper() and isinstance(value, Code)}


@pytest.fixture(autouse=True)
def _own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_keys, "ROOT", tmp_path)


def digest(root: Path, code: str, name: str = "code.py") -> str:
    (root / name).write_text(code, encoding="utf-8")
    cache_keys._without_docstrings.cache_clear()
    return cache_keys.digest(Code((name,)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# entries", "# names, at most"),
        ("  # entries", ""),
        ('"""Module."""', '"""What this module does."""'),
        ('"""Module."""\n', ""),
        ('"""Reads."""', '"""Reads a directory."""'),
        ('    """Reads."""\n', ""),
        ("path: where.", "path: of the directory."),
        ("\n\n\nclass", "\n\n# A class.\nclass"),
        ("import os", "import  os;"),
        ("sorted(os.listdir(path))[:LIMIT]", "sorted(\n            os.listdir(path),\n        )[:LIMIT]"),
    ],
)
def test_comments_docstrings_and_formatting_do_not_change_the_digest(tmp_path: Path, before: str, after: str) -> None:
    edited = CODE.replace(before, after)
    assert edited != CODE
    assert digest(tmp_path, edited) == digest(tmp_path, CODE)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("sorted(os.listdir(path))", "os.listdir(path)"),
        ("[:LIMIT]", "[LIMIT:]"),
        ("class Reader", "class Writer"),
        ("import os", "import os, sys"),
        ("return sorted", "'a string that is not a docstring'\n        return sorted"),
    ],
)
def test_code_changes_the_digest(tmp_path: Path, before: str, after: str) -> None:
    edited = CODE.replace(before, after)
    assert edited != CODE
    assert digest(tmp_path, edited) != digest(tmp_path, CODE)


def test_function_with_only_a_docstring_equals_an_empty_function(tmp_path: Path) -> None:
    assert digest(tmp_path, 'def f():\n    """Nothing."""\n') == digest(tmp_path, "def f():\n    pass\n")


def test_digest_of_a_folder_includes_names_and_code_of_all_python_files(tmp_path: Path) -> None:
    (tmp_path / "package" / "inner").mkdir(parents=True)
    seen = {cache_keys.digest(Code(("package",)))}
    for name in ("package/one.py", "package/two.py", "package/inner/three.py"):
        digest(tmp_path, CODE, name)
        seen.add(cache_keys.digest(Code(("package",))))
    (tmp_path / "package" / "two.py").rename(tmp_path / "package" / "renamed.py")
    seen.add(cache_keys.digest(Code(("package",))))
    assert len(seen) == 5
    (tmp_path / "package" / "notes.txt").write_text("no code")
    assert cache_keys.digest(Code(("package",))) in seen


def test_digest_does_not_depend_on_the_location_of_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = digest(tmp_path, CODE)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(cache_keys, "ROOT", elsewhere)
    assert digest(elsewhere, CODE) == here


def test_version_of_a_library_changes_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"one": "1.0", "two": "2.0"}
    monkeypatch.setattr(cache_keys, "version", installed.__getitem__)
    digest(tmp_path, CODE)
    code, neither = Code(("code.py",), ("one",)), Code(("code.py",))
    before, without = cache_keys.digest(code), cache_keys.digest(neither)
    assert before != without
    installed["two"] = "2.0.1"
    assert cache_keys.digest(code) == before
    installed["one"] = "1.0.1"
    assert cache_keys.digest(code) != before
    assert cache_keys.digest(neither) == without


def test_joint_digest_includes_every_part(tmp_path: Path) -> None:
    digest(tmp_path, CODE, "a.py")
    digest(tmp_path, CODE, "b.py")
    parts = Code(("a.py",)), Code(("b.py",))
    assert len({cache_keys.digest(*parts), *map(cache_keys.digest, parts), cache_keys.digest()}) == 4


# The digests of this project


def test_docstring_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_keys, "ROOT", PROJECT)
    assert doctest.testmod(cache_keys).failed == 0


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_listed_path_and_library_exists(name: str) -> None:
    assert [place for place in ALL[name].files if not (PROJECT / place).exists()] == []
    assert all(metadata.version(library) for library in ALL[name].libraries)


@pytest.mark.parametrize(
    ("library", "expected"),
    [
        ("tfx", {"INGEST"}),  # the first component, and so all of them
        ("tensorflow-data-validation", {"INGEST", "DRIFT"}),
        ("tensorflow-transform", {"TRANSFORM"}),
        ("tensorflow", {"TRANSFORM", "TRAINER", "EXPORT", "EVALUATOR", "INFRA"}),
        ("keras", {"TRAINER"}),
        ("keras-tuner", {"TUNER"}),
        ("scikit-learn", {"TUNER"}),  # KerasTuner's Bayesian search
        ("tensorflow-model-analysis", {"EVALUATOR"}),
        ("rich", set()),
    ],
)
def test_upgrade_changes_the_digests_of_the_components_that_use_the_library(
    library: str, expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_keys, "ROOT", PROJECT)
    before = {name: cache_keys.digest(code) for name, code in ALL.items()}
    monkeypatch.setattr(cache_keys, "version", lambda name: "99" if name == library else metadata.version(name))
    assert {name for name, code in ALL.items() if cache_keys.digest(code) != before[name]} == expected


@pytest.mark.parametrize(
    ("entry", "named", "harmless"),
    [
        # Files that a component imports but that do not determine its output, and why.
        (
            "components/ingest/corpus_example_gen.py",
            ("INGEST",),
            {
                "components/ingest/corpora.py",  # finds files; their content is in the path of the staged corpus
                "components/ingest/archive.py",  # the same
                "components/ingest/bucket.py",  # the same
                "components/ingest/local_files.py",  # the same
                "components/ingest/download.py",  # the same
                "components/files.py",  # the same
                "components/ingest/encoding.py",  # makes error messages
            },
        ),
        ("components/validate/anomaly_gate.py", ("GATE",), set()),
        ("transform/preprocessing.py", ("TRANSFORM",), set()),
        (
            "trainer/run.py",
            ("TRAINER", "EXPORT"),
            HARMLESS_TO_TRAINING
            | {
                "components/models/original.py",  # notes where the export is
            },
        ),
        (
            "trainer/tuning.py",
            ("TRAINER", "TUNER"),
            HARMLESS_TO_TRAINING
            | {
                "components/evaluate/perplexity.py",  # only shows the loss in another unit
                "serving/graph/checkpoint.py",  # generates from the checkpoint of a trial
                "serving/graph/generation_config.py",  # the same
                "serving/graph/network.py",  # the same
                "serving/graph/one_step.py",  # the same
                "serving/graph/sampling.py",  # the same
                "serving/graph/scoring.py",  # the same
                "serving/graph/checks.py",  # the same
                "serving/graph/controls.py",  # the same
                "serving/graph/writing.py",  # the same
            },
        ),
        ("components/evaluate/last_blessed.py", ("BASELINE",), set()),
        ("components/evaluate/evaluator.py", ("EVALUATOR",), set()),
        ("components/evaluate/metrics.py", ("EVALUATOR",), set()),
        ("components/release/infra_check.py", ("INFRA",), set()),
        (
            "serving/probe/__main__.py",
            ("INFRA",),
            {
                "serving/graph/one_step.py",  # its result, the export, is an input
                "serving/graph/cells.py",  # the same
                "serving/graph/generation_config.py",  # the same
                "serving/graph/network.py",  # the same
                "serving/graph/scoring.py",  # the same
                "serving/graph/sampling.py",  # the same
                "serving/graph/checks.py",  # the same
                "serving/graph/controls.py",  # the same
                "serving/graph/writing.py",  # the same
                "transform/vocabulary.py",  # the same
                "transform/normalization.py",  # the same
                "components/models/versions.py",  # copies that input from a bucket
                "components/files.py",  # the same
            },
        ),
        (
            "components/release/pusher.py",
            ("PUSHER",),
            {
                "components/ingest/documents.py",  # counts a text, whose statistics are an input
            },
        ),
        ("components/validate/drift_check.py", ("DRIFT",), set()),
    ],
)
def test_every_imported_file_is_listed(entry: str, named: tuple[str, ...], harmless: set[str]) -> None:
    files = {file for name in named for place in ALL[name].files for file in _files(PROJECT / place)}
    messages_only = {"components/errors.py", "components/shell_command.py"} | {
        f"{package}/__init__.py" for package in PACKAGES
    }
    assert _imported(entry) - files - messages_only == harmless


def _files(path: Path) -> set[str]:
    return {str(file.relative_to(PROJECT)) for file in (path.rglob("*.py") if path.is_dir() else [path])}


def _imported(file: str) -> set[str]:
    """A file of the project and all files of the project that it imports, directly or indirectly."""
    found: set[str] = set()
    waiting = [file]
    while waiting:
        found.add(file := waiting.pop())
        for node in ast.walk(ast.parse((PROJECT / file).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PACKAGES:
                modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names if alias.name.split(".")[0] in PACKAGES]
            else:
                continue
            paths = {f"{module.replace('.', '/')}.py" for module in modules}
            waiting += [path for path in paths - found if (PROJECT / path).is_file()]
    return found
