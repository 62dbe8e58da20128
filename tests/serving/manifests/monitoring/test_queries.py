"""Expressions use metrics that servers expose, and read correctly where PromQL is easily misread."""

import json
import re

import pytest

from pipeline.config.serving import MonitoringSettings, ServingSettings
from serving.embedded.metrics import Metrics
from serving.manifests.monitoring.alerts import rules
from serving.manifests.monitoring.dashboard import dashboard
from serving.manifests.monitoring.queries import FAILURES, Queries, job
from serving.manifests.monitoring.scraping import pod_monitor, prometheus

ONE = Queries("servers", "char_rnn")


def exposed() -> str:
    metrics = Metrics()
    metrics.count_load("/models/char_rnn/1", "success")
    metrics.count_request("char_rnn", "predict", "OK", 0.1)
    metrics.record_runtime("char_rnn", 0.1)
    metrics.record_warmup("/models/char_rnn/1", 0.1)
    return metrics.text()


@pytest.mark.parametrize("made", [rules, dashboard])
def test_servers_expose_every_metric_and_label_that_is_used(made: object) -> None:
    assert callable(made)
    text = json.dumps(made(ServingSettings(), "char_rnn"), ensure_ascii=False).replace('\\"', '"')
    used = re.findall(r"(:tensorflow[a-z_:]+)\{([^}]*)\}", text)
    found = dict(re.findall(r"^(:tensorflow[a-z_:]+)\{([^}]*)\}", exposed(), re.MULTILINE))
    assert len({name for name, _ in used}) >= 3
    assert {name for name, _ in used} <= set(found)
    for name, labels in used:
        names = set(re.findall(r"(\w+)=~?\"", labels)) - {"job"}
        assert names <= set(re.findall(r"(\w+)=\"", found[name])), name


def test_a_version_is_found_by_the_path_that_servers_report() -> None:
    pattern = re.search('model_path=~"([^"]*)"', ONE.loads("fail"))
    assert pattern is not None
    # Prometheus anchors patterns at both ends.
    assert re.fullmatch(pattern[1], "/models/char_rnn/12")
    assert not re.fullmatch(pattern[1], "/models/other_char_rnn/12")
    assert not re.fullmatch(pattern[1], "/models/char_rnn/12/x")


def test_all_instances_and_entrypoints_are_one_latency() -> None:
    assert ONE.latency(0.99, "5m") == (
        "histogram_quantile(0.99, sum by (le) (rate(:tensorflow:serving:request_latency_bucket"
        '{job="servers",model_name="char_rnn",API=~"(?i)predict"}[5m])))'
    )


def test_only_the_servers_own_failures_count() -> None:
    assert not {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "UNAUTHENTICATED", "CANCELLED", "UNIMPLEMENTED"} & set(FAILURES)


def test_the_job_is_the_same_in_rules_dashboard_and_scraping() -> None:
    for settings, expected in (
        (ServingSettings(), "char-rnn-serving"),
        (ServingSettings(monitoring=MonitoringSettings(job="models")), "models"),
    ):
        assert job(settings, "char_rnn") == expected
        for made in (rules(settings, "char_rnn"), dashboard(settings, "char_rnn")):
            assert set(re.findall(r'job=\\"([^"]*)\\"', json.dumps(made))) == {expected}
        assert prometheus(settings, "char_rnn")["scrape_configs"][0]["job_name"] == expected
        (endpoint,) = pod_monitor(settings, "char_rnn")["spec"]["podMetricsEndpoints"]
        assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": expected}]
