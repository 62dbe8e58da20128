"""The workflow and the issue forms follow GitHub's published schemas; the workflow runs the project's scripts."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
GITHUB = ROOT / ".github"


def violations(schema: str, *files: Path) -> str:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.integration
@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ("github-workflows", "workflows/*.yml"),
        ("github-issue-forms", "ISSUE_TEMPLATE/[!c]*.yml"),
        ("github-issue-config", "ISSUE_TEMPLATE/config.yml"),
    ],
)
def test_files_follow_the_published_schema(schema: str, pattern: str) -> None:
    files = list(GITHUB.glob(pattern))
    assert files
    assert violations(schema, *files) == ""


@pytest.mark.integration
def test_an_unknown_key_violates_the_schema(tmp_path: Path) -> None:
    workflow = (GITHUB / "workflows" / "ci.yml").read_text().replace("runs-on", "runs-somewhere", 1)
    (tmp_path / "ci.yml").write_text(workflow)
    assert "runs-somewhere" in violations("github-workflows", tmp_path / "ci.yml")


@pytest.fixture
def jobs() -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load((GITHUB / "workflows" / "ci.yml").read_text())["jobs"]
    return jobs


def runs(job: dict[str, Any]) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


def test_workflow_runs_the_projects_scripts(jobs: dict[str, Any]) -> None:
    assert runs(jobs["check"])[-1] == "scripts/check"
    assert runs(jobs["test"]) == [".ci/run"]
    for script in ("scripts/check", ".ci/run"):
        assert (ROOT / script).stat().st_mode & 0o100, "executable"


def test_workflow_installs_uv_as_the_readme_does(jobs: dict[str, Any]) -> None:
    assert runs(jobs["check"])[0] in (ROOT / "README.md").read_text()


def test_workflow_tests_the_oldest_and_the_newest_supported_python(jobs: dict[str, Any]) -> None:
    test = jobs["test"]
    supported = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text())
    assert supported
    assert test["strategy"]["matrix"]["python"] == [f"3.{supported[1]}", f"3.{int(supported[2]) - 1}"]
    assert test["env"]["UV_PYTHON"] == "${{ matrix.python }}", "the interpreter that uv takes"


def test_workflow_starts_the_image_that_it_builds(jobs: dict[str, Any]) -> None:
    build, start = runs(jobs["image"])
    assert build.split()[:3] == ["docker", "build", "--tag"]
    assert start.split()[-1] == build.split()[3]
