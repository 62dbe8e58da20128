"""A package of another project is recognized by its path."""

import subprocess
import sys
from pathlib import Path

import pytest

import components
import pipeline
from components import own_packages
from components.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def test_packages_of_this_project_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(ROOT)
    for root in (ROOT, tmp_path / "link"):
        own_packages.require(root, components, pipeline)


def test_package_from_elsewhere_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="called pipeline hides this project's own") as caught:
        own_packages.require(tmp_path, pipeline)
    assert str(caught.value).endswith(f"Received: {ROOT / 'pipeline'}")


@pytest.mark.integration
@pytest.mark.parametrize("program", [["local_runner.py", "--corpus", "missing.txt"], ["kubeflow", "status"]])
def test_both_runners_check_their_packages_first(program: list[str], tmp_path: Path) -> None:
    """Another `pipeline` with modules of the same names is imported before the program starts."""
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").write_text(f"__path__.append({str(ROOT / 'pipeline')!r})\n")
    run = "run_path" if program[0].endswith(".py") else "run_module"
    code = f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); import pipeline; sys.path.pop(0)\n"
    code += f"sys.argv = {program!r}; runpy.{run}({program[0]!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: Another package called pipeline hides this project's own.")
    assert f"Received: {tmp_path / 'pipeline'}\n" in done.stderr
