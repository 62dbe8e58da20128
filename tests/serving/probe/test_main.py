"""`python -m serving.probe` checks in this process first and starts TF Serving only for a model that passes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from serving.probe import __main__, in_process, tf_serving

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("here", "there", "reason", "checked"),
    [
        ("", "", "", ["/model"]),
        ("no signature", "not called", "no signature", []),
        ("", "TF Serving rejected it", "TF Serving rejected it", ["/model"]),
    ],
)
def test_the_first_failing_check_is_the_reason(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    here: str,
    there: str,
    reason: str,
    checked: list[str],
) -> None:
    models: list[str] = []

    def check(model: str) -> str:
        models.append(model)
        return there

    monkeypatch.setattr(in_process, "check", lambda model: here)
    monkeypatch.setattr(tf_serving, "check", check)
    assert __main__.main(["/model"]) == (1 if reason else 0)
    assert json.loads(capsys.readouterr().out) == {"reason": reason}
    assert models == checked


def test_without_a_model_it_prints_the_usage_and_help_needs_no_tensorflow() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "serving.probe"]
    missing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert missing.returncode == 2
    assert missing.stderr.splitlines()[-1].endswith("error: the following arguments are required: model")
    help_ = subprocess.run([*command, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert help_.returncode == 0
    assert help_.stdout.startswith("usage: python -m serving.probe [-h] model\n")
    assert "tensorflow" not in help_.stderr
