"""What makes Prometheus scrape the servers and read the rules: its configuration, or objects of its operator."""

import os
from typing import Any
from urllib.parse import urlsplit

from pipeline.config.serving import ServingSettings
from serving.access import outgoing
from serving.manifests.monitoring.alerts import rules
from serving.manifests.monitoring.queries import job
from serving.manifests.objects import Manifest, manifest, object_name, selector
from serving.tf_serving.flags import METRICS_PATH

RULES_FILE = "alerts.yaml"
_OPERATOR = "monitoring.coreos.com/v1"


def prometheus(settings: ServingSettings, model: str) -> dict[str, Any]:
    """Make Prometheus' configuration for the server of this machine: `serving up` or Compose."""
    address, access = urlsplit(outgoing.base_url(settings)), settings.access
    scrape: dict[str, Any] = {
        "job_name": job(settings, model),
        "metrics_path": METRICS_PATH,
        "scheme": address.scheme,
        "static_configs": [{"targets": [address.netloc]}],
    }
    # Absolute, because Prometheus looks for relative paths beside its configuration.
    if access.api_key_file is not None:
        scrape["authorization"] = {"credentials_file": os.path.abspath(access.api_key_file)}
    if access.tls_cert is not None:
        scrape["tls_config"] = {"ca_file": os.path.abspath(access.tls_cert)}
    return {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": [RULES_FILE],
        "scrape_configs": [scrape],
    }


def pod_monitor(settings: ServingSettings, model: str) -> Manifest:
    """Make the Prometheus operator's object for the servers of a cluster; it does not read annotations of pods."""
    name = object_name(model)
    endpoint = {
        "port": "rest",
        "path": METRICS_PATH,
        "relabelings": [{"targetLabel": "job", "replacement": job(settings, model)}],
    }
    spec = {"selector": {"matchLabels": selector(name)}, "podMetricsEndpoints": [endpoint]}
    return manifest(_OPERATOR, "PodMonitor", name, selector(name), spec=spec)


def prometheus_rule(settings: ServingSettings, model: str) -> Manifest:
    """Make the Prometheus operator's object with the alert rules."""
    name = object_name(model)
    return manifest(_OPERATOR, "PrometheusRule", name, selector(name), spec=rules(settings, model))
