"""The import rules of pyproject.toml: the sources follow them, and an import against each of them is reported."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("components", "kubeflow", "pipeline", "serving", "trainer", "transform")


def lint_imports(root: Path) -> tuple[int, str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=root, env={"COLUMNS": "300"}, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_sources_follow_the_import_rules() -> None:
    code, output = lint_imports(ROOT)
    assert code == 0, output


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("copy")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.mark.parametrize(
    ("module", "imported", "rule"),
    [
        ("components/errors.py", "serving.client", "Packages import downward"),
        ("trainer/model.py", "pipeline.create", "Packages import downward"),
        ("components/errors.py", "transform.vocabulary", "Packages import downward"),
        ("pipeline/config/run.py", "pipeline.create", "The configuration imports nothing of the project"),
        ("serving/graph/cells.py", "components.models.registry", "The served graph imports of components only"),
        ("serving/client/errors.py", "tensorflow", "The client imports no framework"),
        ("serving/client/errors.py", "components.errors", "The client imports no framework"),
        ("serving/rollout/labels.py", "serving.launcher.process", "Packages of serving import downward"),
        ("serving/new_package/__init__.py", "components.errors", "Packages of serving import downward"),
        ("serving/embedded/codec/values.py", "serving.embedded.models.served", "Packages of the embedded server"),
        ("serving/commands/prune.py", "serving.commands.up", "Commands do not import each other"),
        ("trainer/loop.py", "trainer.engine.steps", "Only trainer.engine itself imports its modules"),
        ("components/errors.py", "components.ingest.text", "Modules and packages of one folder have no import cycles"),
    ],
)
def test_import_against_a_rule_is_reported(module: str, imported: str, rule: str, sources: Path) -> None:
    path = sources / module
    before = path.read_text() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{before or ''}\nimport {imported}\n")
    try:
        code, output = lint_imports(sources)
    finally:
        path.unlink() if before is None else path.write_text(before)
        if before is None:
            path.parent.rmdir()
    assert code == 1
    broken = [line for line in output.splitlines() if " BROKEN" in line]
    assert any(line.startswith(rule) for line in broken), output


def test_package_arrows_lists_who_imports_whom() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "package_arrows")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    arrows = {line.rpartition(" (")[0] for line in done.stdout.splitlines()}
    assert {"trainer -> serving.graph", "kubeflow -> pipeline.config", "serving.commands -> serving.rollout"} <= arrows
