"""`python -m serving.probe` checks in this process first and asks TF Serving only about a model that passes."""

import json
import sys

import pytest

from serving.probe import __main__, in_process, tf_serving

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("here", "there", "reason", "asked"),
    [
        ("", "", "", ["/model"]),
        ("no signature", "not asked", "no signature", []),
        ("", "TF Serving refused it", "TF Serving refused it", ["/model"]),
    ],
)
def test_the_first_failing_check_is_the_reason(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    here: str,
    there: str,
    reason: str,
    asked: list[str],
) -> None:
    models: list[str] = []

    def check(model: str) -> str:
        models.append(model)
        return there

    monkeypatch.setattr(in_process, "check", lambda model: here)
    monkeypatch.setattr(tf_serving, "check", check)
    monkeypatch.setattr(sys, "argv", ["probe", "/model"])
    __main__.main()
    assert json.loads(capsys.readouterr().out) == {"reason": reason}
    assert models == asked
