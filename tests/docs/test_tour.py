"""The notebook for readers of the tutorial: without outputs as committed, and executed in the slow tests."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.docs.markdown import ROOT

TOUR = ROOT / "docs" / "tour.ipynb"
NAMES = re.compile(r'run\("(\w+)"\)')


def tour() -> Any:
    return nbformat.read(TOUR, as_version=4)


def test_notebook_is_valid_has_no_outputs_and_runs_each_component() -> None:
    made = tour()
    nbformat.validate(made)
    code = [cell for cell in made.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    named = NAMES.findall("\n".join(cell.source for cell in code))
    assert len(named) == len(set(named))
    text = "\n".join(cell.source for cell in made.cells if cell.cell_type == "markdown")
    assert all(name in text for name in named)


@pytest.mark.slow
@pytest.mark.e2e
def test_notebook_is_executed_and_runs_all_components(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbclient import NotebookClient

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    made = tour()
    NotebookClient(made, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}).execute()
    outputs = [output for cell in made.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs)
    code = "\n".join(cell.source for cell in made.cells if cell.cell_type == "code")
    listed = re.search(r"\['CorpusExampleGen'[^]]*\]", text)
    assert listed is not None
    assert set(re.findall(r"\w+", listed[0])) == set(NAMES.findall(code))
    for shown in ("TOBIAS:", "['BLESSED'] ['INFRA_BLESSED']", "## How to use it"):
        assert shown in text
