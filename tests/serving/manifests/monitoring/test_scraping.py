"""Prometheus reaches the servers of `up`, Compose and the manifests."""

import os
from typing import Any

from pipeline.config.serving import AccessSettings, ServingSettings
from serving.manifests import kubernetes
from serving.manifests.monitoring.alerts import rules
from serving.manifests.monitoring.scraping import pod_monitor, prometheus, prometheus_rule
from serving.tf_serving.flags import METRICS_PATH


def scrape(settings: ServingSettings) -> dict[str, Any]:
    made = prometheus(settings, "char_rnn")
    assert made["rule_files"] == ["alerts.yaml"]
    (one,) = made["scrape_configs"]
    assert one["metrics_path"] == METRICS_PATH
    assert isinstance(one, dict)
    return one


def test_the_server_of_this_machine_is_scraped() -> None:
    for host, target in (("127.0.0.1", "127.0.0.1:9001"), ("0.0.0.0", "127.0.0.1:9001"), ("::1", "[::1]:9001")):
        one = scrape(ServingSettings(host=host, rest_port=9001))
        assert (one["scheme"], one["static_configs"]) == ("http", [{"targets": [target]}])
        assert not {"authorization", "tls_config"} & set(one)


def test_key_and_certificate_are_sent_and_checked() -> None:
    one = scrape(ServingSettings(access=AccessSettings(api_key_file="keys", tls_cert="/c.pem")))
    assert one["scheme"] == "https"
    # Prometheus takes a relative path as relative to its configuration.
    assert one["authorization"] == {"credentials_file": os.path.abspath("keys")}
    assert one["tls_config"] == {"ca_file": "/c.pem"}


def test_the_operator_finds_the_pods_and_their_port() -> None:
    settings = ServingSettings()
    pod = kubernetes.manifests(settings, "char_rnn")["deployment.yaml"]["spec"]["template"]
    spec = pod_monitor(settings, "char_rnn")["spec"]
    assert spec["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    (endpoint,) = spec["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    assert endpoint["path"] == pod["metadata"]["annotations"]["prometheus.io/path"]


def test_the_operator_gets_the_same_rules() -> None:
    made = prometheus_rule(ServingSettings(), "char_rnn")
    assert made["spec"] == rules(ServingSettings(), "char_rnn")
    assert made["metadata"]["name"] == "char-rnn-serving"
