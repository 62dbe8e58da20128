"""Which run the notebook is about; without any there is an error."""

from pathlib import Path

import pytest

from pipeline.__main__ import main

pytestmark = pytest.mark.integration


def test_root_without_runs_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["notebook", "--root", str(tmp_path)]) == 2
    assert "No run with artifacts is recorded there. Name the directory" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
