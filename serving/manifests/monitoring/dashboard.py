"""A Grafana dashboard: requests, latency and versions of one model, in the JSON that Grafana 11 and newer import."""

from typing import Any

from components import dns_label
from pipeline.config.serving import ServingSettings
from serving.manifests.monitoring.queries import FAILURES, Queries, job

SCHEMA_VERSION = 41  # of Grafana 11.6; newer versions convert it
_LONGEST_UID = 40  # of Grafana
_WIDTH = 24  # columns of Grafana's grid
_WINDOW = "$__rate_interval"  # Grafana's: at least four scrapes
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_MICROSECONDS = "µs"


def dashboard(settings: ServingSettings, model: str) -> dict[str, Any]:
    """Make the dashboard's JSON model."""
    queries, limits = Queries(job(settings, model), model), settings.monitoring
    failures = "|".join(FAILURES)
    all_requests = queries.requests(_WINDOW)
    # A status that did not occur has no series.
    failing = f"(sum({queries.requests(_WINDOW, failures)}) or vector(0)) / (sum({all_requests}) > 0)"
    worst, max_latency = limits.max_error_share, limits.max_latency_seconds * 1e6
    slowest = queries.latency(0.99, _WINDOW)
    panels = [
        _stat("Servers that answer", {"": f"sum({queries.up()})"}, "none"),
        _stat("Requests", {"": f"sum({all_requests})"}, "reqps"),
        _stat("Failing requests", {"": failing}, "percentunit", worst),
        _stat("Latency, 99th percentile", {"": slowest}, _MICROSECONDS, max_latency),
        _series("Requests by status", {"{{status}}": f"sum by (status) ({all_requests})"}, "reqps"),
        _series("Requests by server", {"{{instance}}": f"sum by (instance) ({all_requests})"}, "reqps"),
        _series(
            "Latency of predictions",
            {"median": queries.latency(0.5, _WINDOW), "95 %": queries.latency(0.95, _WINDOW), "99 %": slowest},
            _MICROSECONDS,
            max_latency,
        ),
        _series(
            "Mean latency, and its part for the graph and the wait for it",
            {
                "request": queries.mean("request_latency", _WINDOW),
                "graph": queries.mean("runtime_latency", _WINDOW),
            },
            _MICROSECONDS,
        ),
        _series(
            "Attempts to load each version since the servers started",
            {
                "{{model_path}} loaded": f"sum by (model_path) ({queries.loads('success')})",
                "{{model_path}} failed": f"sum by (model_path) ({queries.loads('fail')})",
            },
            "none",
        ),
        _series("Duration of each version's warm-up", {"{{model_path}}": queries.warm_ups()}, _MICROSECONDS),
    ]
    return {
        "uid": dns_label.of(model, _LONGEST_UID),
        "title": f"Model {model}",
        "tags": ["char-rnn"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,  # one crosshair on all panels
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}]
        },
        "annotations": {"list": [_firing(model)]},
        "panels": _placed(panels),
    }


def _firing(model: str) -> dict[str, Any]:
    """Mark the times at which an alert fires."""
    return {
        "name": "Firing alerts",
        "datasource": _SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": f'ALERTS{{alertstate="firing",model="{model}"}}',
        "titleFormat": "{{alertname}}",
        "step": "60s",
    }


def _stat(title: str, expressions: dict[str, str], unit: str, limit: float | None = None) -> dict[str, Any]:
    options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value"}
    return _panel("stat", title, expressions, unit, limit, (6, 4)) | {"options": options}


def _series(title: str, expressions: dict[str, str], unit: str, limit: float | None = None) -> dict[str, Any]:
    panel = _panel("timeseries", title, expressions, unit, limit, (12, 8))
    panel["fieldConfig"]["defaults"] |= {"min": 0, "custom": {"thresholdsStyle": {"mode": "line" if limit else "off"}}}
    return panel


def _panel(
    kind: str, title: str, expressions: dict[str, str], unit: str, limit: float | None, size: tuple[int, int]
) -> dict[str, Any]:
    """Make a panel without a place.

    Args:
      expressions: PromQL by legend.
      limit: value from which on the alert's color is used.
      size: width and height in the grid's units.
    """
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if limit is not None:
        steps.append({"color": "red", "value": limit})
    return {
        "type": kind,
        "title": title,
        "datasource": _SOURCE,
        "gridPos": {"w": size[0], "h": size[1]},
        "fieldConfig": {
            "defaults": {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": expression, "legendFormat": legend}
            for index, (legend, expression) in enumerate(expressions.items())
        ],
    }


def _placed(panels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Number the panels and place them in rows, from left to right; panels of one row have the same height."""
    x = y = height = 0
    for number, panel in enumerate(panels, start=1):
        place = panel["gridPos"]
        if x + place["w"] > _WIDTH:
            x, y = 0, y + height
        place |= {"x": x, "y": y}
        x, height = x + place["w"], place["h"]
        panel["id"] = number
    return panels
