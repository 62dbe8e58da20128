"""The pre-commit hooks pass, and need nothing but the locked tools."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
HOOKS = {hook["id"]: hook for repo in CONFIG["repos"] for hook in repo["hooks"]}
# These hooks run the tools of other tests: tests/test_static.py and tests/test_import_rules.py.
TESTED_ELSEWHERE = ("lint", "format", "types", "imports", "words")


@pytest.mark.integration
def test_hooks_pass_on_all_files(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no git repository")
    environment = {**os.environ, "PRE_COMMIT_HOME": str(tmp_path), "SKIP": ",".join(TESTED_ELSEWHERE)}
    command = [sys.executable, "-m", "pre_commit", "run", "--all-files"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Passed") == len(HOOKS) - len(TESTED_ELSEWHERE)


def test_hooks_download_nothing() -> None:
    assert {repo["repo"] for repo in CONFIG["repos"]} == {"meta", "local"}
    local = [hook for hook in HOOKS.values() if "entry" in hook]
    assert {hook["language"] for hook in local} == {"system", "pygrep"}
    for hook in local:
        if hook["language"] == "system":
            tool = hook["entry"].split()[0]
            assert tool.startswith(".venv/bin/")
            assert Path(sys.executable).with_name(Path(tool).name).exists(), "a locked tool"


@pytest.mark.integration
def test_hooks_find_trailing_whitespace(tmp_path: Path) -> None:
    (tmp_path / ".pre-commit-config.yaml").write_text((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (tmp_path / "text.md").write_text("a line \n")
    environment = {**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "home")}
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    command = [sys.executable, "-m", "pre_commit", "run", "trailing-whitespace", "--files", "text.md"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "text.md:1:a line" in done.stdout
