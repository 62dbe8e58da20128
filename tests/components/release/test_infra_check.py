"""The export is checked in a separate process; a process that crashes or hangs fails the check."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tfx.components.util import model_utils
from tfx.types import standard_artifacts

from components.release import infra_check
from components.release.infra_check import InfraCheck, check
from serving.graph import signatures, warmup
from serving.graph.one_step import Defaults, OneStep, Weights
from tests import warm
from transform.vocabulary import Vocabulary

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def ones(*shape: int) -> Any:
        return np.ones(shape, np.float32)

    weights = Weights(ones(4, 2), [(ones(2, 9), ones(3, 9), ones(2, 9))], ones(3, 4), ones(4))
    model = OneStep(weights, Vocabulary(tuple(map(ord, "Th "))), Defaults(5, 0.8, 0, 100))
    directory = tmp_path_factory.mktemp("trained") / "Format-Serving"
    signatures.save(model, str(directory))
    warmup.write(str(directory), "mine", model.state_size)
    return directory


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Run a shell script in place of the process that checks the model."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def test_a_good_export_is_accepted_from_anywhere(export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert check(str(export)) == ""


def test_a_broken_export_is_rejected_with_the_probes_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", warm.python())
    assert check(str(tmp_path)).startswith("the SavedModel does not load: ")


def test_the_process_gets_the_model_and_finds_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    stand_in(tmp_path, monkeypatch, """printf '{"reason": "%s, %s, %s"}\\n' "$*" "$PYTHONPATH" "$PWD" """)
    root = Path(infra_check.__file__).parents[2]
    assert check("/model") == f"-m serving.probe /model, {root}:/elsewhere, {root}"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo Loading; echo 'first' >&2; echo 'out of memory' >&2; exit 3", "ended with exit code 3: out of memory"),
        ("kill -9 $$", "ended with exit code -9: no output"),
        ("exit 0", "ended with exit code 0: no output"),
        ("echo 5; exit 2", "ended with exit code 2: no output"),
        ("echo null", "ended with exit code 0: no output"),
        ("echo '[\"reason\"]'; echo 'odd' >&2", "ended with exit code 0: odd"),
        ("echo '{}'", "ended with exit code 0: no output"),
    ],
)
def test_a_process_that_crashes_or_reports_nothing_fails_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    stand_in(tmp_path, monkeypatch, script)
    assert check("/model") == f"the check of the model {reason}"


def test_a_process_that_hangs_fails_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infra_check, "_TIMEOUT_SECONDS", 0.2)
    stand_in(tmp_path, monkeypatch, "exec sleep 60")
    assert check("/model") == "the check did not finish within 0.2 seconds"


@pytest.mark.parametrize("reason", ["", "the signature score is missing"])
def test_tfx_can_read_the_blessing_and_it_holds_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    checked: list[str] = []

    def checks(model: str) -> str:
        checked.append(model)
        return reason

    monkeypatch.setattr(infra_check, "check", checks)
    model, blessing = standard_artifacts.Model(), standard_artifacts.InfraBlessing()
    model.uri, blessing.uri = str(tmp_path / "trained"), str(tmp_path / "blessing")
    (tmp_path / "trained" / "Format-Serving").mkdir(parents=True)
    (tmp_path / "blessing").mkdir()
    InfraCheck.test_call(model=model, blessing=blessing, sources="")
    assert checked == [str(tmp_path / "trained" / "Format-Serving")]
    assert model_utils.is_infra_validated(blessing) is (not reason)
    assert blessing.get_string_custom_property("reason") == reason
    (file,) = (tmp_path / "blessing").iterdir()
    assert file.name == ("INFRA_NOT_BLESSED" if reason else "INFRA_BLESSED")
    assert file.read_text() == reason
