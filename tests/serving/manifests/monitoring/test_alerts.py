"""The alert rules: their form, and by promtool, if it is installed, when they fire."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.serving import MonitoringSettings, ServingSettings
from serving.manifests.monitoring.alerts import rules

ROOT = Path(__file__).resolve().parents[4]
SETTINGS = ServingSettings(monitoring=MonitoringSettings(max_error_share=0.1, max_latency_seconds=2.0))
SERVER = 'instance="a",job="char-rnn-serving"'
REQUESTS = f':tensorflow:serving:request_count{{{SERVER},model_name="char_rnn",status="%s"}}'
LOADS = f':tensorflow:cc:saved_model:load_attempt_count{{{SERVER},model_path="/models/char_rnn/%s",status="%s"}}'
LATENCY = f':tensorflow:serving:request_latency_bucket{{{SERVER},model_name="char_rnn",API="%s",le="%s"}}'
UP = f"up{{{SERVER}}}"
LOADED = {LOADS % (1, "success"): "1x60"}

# Series, one value a minute; the alert, and the minutes at which it fires and does not.
CASES: dict[str, tuple[dict[str, str], str, list[int], list[int]]] = {
    "a server that restarts": ({UP: "1x10 0 1x10"}, "ModelServerDown", [], [11, 12, 15]),
    "a server that is down": ({UP: "1x10 0x10"}, "ModelServerDown", [13, 20], [10, 11]),
    "a pod that was deleted": ({UP: "1x10 stale"}, "ModelServerDown", [], [13, 20]),
    "no server": ({UP: "0x20"}, "ModelNotServed", [6, 20], [4]),
    "another model": ({LOADS.replace("char_rnn", "other") % (1, "success"): "1x20"}, "ModelNotServed", [6], [4]),
    "a loaded version": (LOADED, "ModelNotServed", [], [6, 20]),
    "a version that fails once": (
        LOADED | {LOADS % (2, "fail"): "_x10 1x40"},
        "ModelVersionLoadFails",
        [12, 20, 24],
        [9, 27, 40],
    ),
    "a version that keeps failing": (
        LOADED | {LOADS % (2, "fail"): "_x10 1+1x40"},
        "ModelVersionLoadFails",
        [12, 30, 50],
        [9],
    ),
    "a version that fails again later": (
        LOADED | {LOADS % (2, "fail"): "1x30 2x40"},
        "ModelVersionLoadFails",
        [32, 40],
        [29, 50],
    ),
    "a loaded version does not fail": (LOADED, "ModelVersionLoadFails", [], [1, 20]),
    "failing requests": (
        {REQUESTS % "OK": "0+60x30", REQUESTS % "INTERNAL": "0+5x30", REQUESTS % "UNAVAILABLE": "0+5x30"},
        "ModelRequestsFail",
        [12, 30],
        [4],
    ),
    "few failing requests": (
        {REQUESTS % "OK": "0+60x30", REQUESTS % "INTERNAL": "0+5x30"},
        "ModelRequestsFail",
        [],
        [30],
    ),
    "wrong requests": ({REQUESTS % "INVALID_ARGUMENT": "0+60x30"}, "ModelRequestsFail", [], [12, 30]),
    "no requests": ({REQUESTS % "OK": "5x30", REQUESTS % "INTERNAL": "5x30"}, "ModelRequestsFail", [], [12, 30]),
    "requests that find no version": (
        {REQUESTS % "OK": "0+60x30", REQUESTS % "NOT_FOUND": "0+10x30"},
        "ModelRequestsNotFound",
        [12, 30],
        [4],
    ),
    "slow requests": (
        {LATENCY % ("predict", "1e6"): "0+50x40", LATENCY % ("predict", "9e6"): "0+60x40"}
        | {LATENCY % ("predict", "+Inf"): "0+60x40"},
        "ModelRequestsSlow",
        [20, 40],
        [8],
    ),
    "slow requests by gRPC": (
        {LATENCY % ("Predict", "1e6"): "0+50x40", LATENCY % ("Predict", "9e6"): "0+60x40"}
        | {LATENCY % ("Predict", "+Inf"): "0+60x40"},
        "ModelRequestsSlow",
        [20, 40],
        [8],
    ),
    "fast requests": (
        {LATENCY % ("predict", "1e6"): "0+60x40", LATENCY % ("predict", "+Inf"): "0+60x40"},
        "ModelRequestsSlow",
        [],
        [20, 40],
    ),
}


def each(settings: ServingSettings = SETTINGS) -> dict[str, dict[str, Any]]:
    (group,) = rules(settings, "char_rnn")["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def test_every_alert_names_the_section_that_explains_it() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    for name, rule in each().items():
        assert rule["labels"] == {"severity": rule["labels"]["severity"], "model": "char_rnn"}
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert f"docs/operations.md, section {name}." in rule["annotations"]["description"]
        assert f"\n#### {name}\n" in page


def test_limits_are_settings() -> None:
    made = each()
    assert made["ModelRequestsFail"]["expr"].endswith(" > 0.1")
    assert made["ModelRequestsNotFound"]["expr"].endswith(" > 0.1")
    assert made["ModelRequestsSlow"]["expr"].endswith(" / 1e6 > 2")
    assert "2 s" in made["ModelRequestsSlow"]["annotations"]["summary"]
    assert each(ServingSettings(start_seconds=600))["ModelNotServed"]["for"] == "1200s"


def test_every_alert_has_cases_in_which_it_fires_and_does_not() -> None:
    assert {alert for _, alert, fires, _ in CASES.values() if fires} == set(each())
    assert {alert for _, alert, fires, _ in CASES.values() if not fires} >= set(each()) - {"ModelRequestsNotFound"}


@pytest.fixture(scope="module")
def promtool() -> str:
    path = shutil.which("promtool")
    if path is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    return path


@pytest.mark.integration
def test_alerts_fire_when_they_should_and_only_then(promtool: str, tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump(rules(SETTINGS, "char_rnn")))
    cases = [
        {
            "interval": "1m",
            "name": f"{name}, {'fires' if fires else 'silent'}",
            "input_series": [{"series": one, "values": values} for one, values in series.items()],
            # Whether, not with which labels: the count of firing alerts, as a boolean.
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) >= bool 1 or vector(0)',
                    "eval_time": f"{minute}m",
                    "exp_samples": [{"labels": "{}", "value": int(fires)}],
                }
                for minute in minutes
            ],
        }
        for name, (series, alert, *both) in CASES.items()
        for fires, minutes in zip((True, False), both, strict=True)
    ]
    test = {"rule_files": ["alerts.yaml"], "evaluation_interval": "1m", "tests": cases}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
    for command in (["check", "rules", "alerts.yaml"], ["test", "rules", "test.yaml"]):
        done = subprocess.run([promtool, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
