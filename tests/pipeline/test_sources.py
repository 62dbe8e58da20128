"""A digest changes with what the code does, with the versions of its libraries, and with nothing else.

That the pipeline uses each digest, and what runs again then, is seen in tests/test_caching.py.
"""

import ast
from importlib import metadata
from pathlib import Path

import pytest

from pipeline import sources
from pipeline.sources import Code

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
PROJECT = Path(sources.__file__).parent.parent
PACKAGES = ("components", "pipeline", "serving", "trainer", "transform")
ALL = {name: value for name, value in vars(sources).items() if name.isupper() and isinstance(value, Code)}


@pytest.fixture(autouse=True)
def _own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "ROOT", tmp_path)


def digest(root: Path, code: str, name: str = "code.py") -> str:
    (root / name).write_text(code, encoding="utf-8")
    sources._meaning.cache_clear()
    return sources.digest(Code((name,)))


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
def test_comments_docstrings_and_layout_do_not_count(tmp_path: Path, before: str, after: str) -> None:
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
def test_code_counts(tmp_path: Path, before: str, after: str) -> None:
    edited = CODE.replace(before, after)
    assert edited != CODE
    assert digest(tmp_path, edited) != digest(tmp_path, CODE)


def test_a_function_of_a_docstring_only_is_an_empty_function(tmp_path: Path) -> None:
    assert digest(tmp_path, 'def f():\n    """Nothing."""\n') == digest(tmp_path, "def f():\n    pass\n")


def test_a_folder_counts_with_all_its_python_files_and_their_names(tmp_path: Path) -> None:
    (tmp_path / "package" / "inner").mkdir(parents=True)
    seen = {sources.digest(Code(("package",)))}
    for name in ("package/one.py", "package/two.py", "package/inner/three.py"):
        digest(tmp_path, CODE, name)
        seen.add(sources.digest(Code(("package",))))
    (tmp_path / "package" / "two.py").rename(tmp_path / "package" / "renamed.py")
    seen.add(sources.digest(Code(("package",))))
    assert len(seen) == 5
    (tmp_path / "package" / "notes.txt").write_text("no code")
    assert sources.digest(Code(("package",))) in seen


def test_a_digest_is_the_same_wherever_the_project_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = digest(tmp_path, CODE)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(sources, "ROOT", elsewhere)
    assert digest(elsewhere, CODE) == here


def test_versions_of_libraries_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"one": "1.0", "two": "2.0"}
    monkeypatch.setattr(sources, "version", installed.__getitem__)
    digest(tmp_path, CODE)
    code, neither = Code(("code.py",), ("one",)), Code(("code.py",))
    before, without = sources.digest(code), sources.digest(neither)
    assert before != without
    installed["two"] = "2.0.1"
    assert sources.digest(code) == before
    installed["one"] = "1.0.1"
    assert sources.digest(code) != before
    assert sources.digest(neither) == without


def test_a_joint_digest_counts_every_part(tmp_path: Path) -> None:
    digest(tmp_path, CODE, "a.py")
    digest(tmp_path, CODE, "b.py")
    parts = Code(("a.py",)), Code(("b.py",))
    assert len({sources.digest(*parts), *map(sources.digest, parts), sources.digest()}) == 4


# The project's own


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_place_and_library_that_is_named_exists(name: str) -> None:
    assert [place for place in ALL[name].files if not (PROJECT / place).exists()] == []
    assert all(metadata.version(library) for library in ALL[name].libraries)


@pytest.mark.parametrize(
    ("library", "expected"),
    [
        ("tfx", {"INGEST"}),  # the first component, and so all of them
        ("tensorflow-data-validation", {"INGEST"}),
        ("tensorflow-transform", {"TRANSFORM"}),
        ("tensorflow", {"TRANSFORM", "TRAINER", "EXPORT", "EVALUATOR", "INFRA"}),
        ("keras", {"TRAINER"}),
        ("tensorflow-model-analysis", {"EVALUATOR"}),
        ("rich", set()),
    ],
)
def test_an_upgrade_changes_the_digests_of_what_the_library_computes(
    library: str, expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "ROOT", PROJECT)
    before = {name: sources.digest(code) for name, code in ALL.items()}
    monkeypatch.setattr(sources, "version", lambda name: "99" if name == library else metadata.version(name))
    assert {name for name, code in ALL.items() if sources.digest(code) != before[name]} == expected


@pytest.mark.parametrize(
    ("entry", "named", "harmless"),
    [
        # What a component imports but what does not decide its output, and why.
        (
            "components/ingest/corpus_example_gen.py",
            ("INGEST",),
            {
                "components/ingest/corpora.py",  # finds files: their content is in the path of the staged corpus
                "components/ingest/download.py",  # the same
                "components/files.py",  # the same
            },
        ),
        ("components/validate/anomaly_gate.py", ("GATE",), set()),
        ("transform/preprocessing.py", ("TRANSFORM",), set()),
        (
            "trainer/run.py",
            ("TRAINER", "EXPORT"),
            {
                "trainer/progress.py",  # it only shows how training goes
                "components/models/registry.py",  # finds a beginning: which one, its content decides
                "components/models/versions.py",  # the same
                "serving/graph/checkpoint.py",  # reads checkpoints to generate from them
                "components/files.py",  # decides how a file is written, not its content
                "pipeline/config/run.py",  # its values are the component's parameters
                "pipeline/config/cluster.py",  # the same
                "pipeline/config/section.py",  # the same
                "pipeline/config/serving.py",  # the same
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
                "serving/graph/one_step.py",  # its result, the export, is what is examined
                "serving/graph/cells.py",  # the same
                "serving/graph/generation_config.py",  # the same
                "serving/graph/network.py",  # the same
                "serving/graph/scoring.py",  # the same
                "serving/graph/sampling.py",  # the same
                "transform/vocabulary.py",  # the same
            },
        ),
        ("components/release/pusher.py", ("PUSHER",), set()),
    ],
)
def test_everything_that_a_component_imports_is_named(entry: str, named: tuple[str, ...], harmless: set[str]) -> None:
    files = {file for name in named for place in ALL[name].files for file in _files(PROJECT / place)}
    texts_only = {"components/errors.py", "components/shell_command.py"} | {
        f"{package}/__init__.py" for package in PACKAGES
    }
    assert _imported(entry) - files - texts_only == harmless


def _files(path: Path) -> set[str]:
    return {str(file.relative_to(PROJECT)) for file in (path.rglob("*.py") if path.is_dir() else [path])}


def _imported(file: str) -> set[str]:
    """A file of the project and all files of the project that it imports, directly or not."""
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
