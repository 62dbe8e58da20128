"""The dashboard's structure. Grafana itself is not run here."""

import re
from typing import Any

import pytest

from pipeline.config.serving import MonitoringSettings, ServingSettings
from serving.manifests.monitoring.dashboard import dashboard


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return dashboard(ServingSettings(), "char_rnn")


def test_panels_fill_the_grid_without_overlapping(made: dict[str, Any]) -> None:
    cells = [
        (place["x"] + column, place["y"] + row)
        for place in (panel["gridPos"] for panel in made["panels"])
        for column in range(place["w"])
        for row in range(place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert {x for x, _ in cells} == set(range(24))
    assert len(cells) == 24 * (1 + max(y for _, y in cells))


def test_every_panel_has_a_title_a_unit_and_queries_of_the_chosen_source(made: dict[str, Any]) -> None:
    panels = made["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    assert len({panel["title"] for panel in panels}) == len(panels)
    (variable,) = made["templating"]["list"]
    for panel in panels:
        assert panel["fieldConfig"]["defaults"]["unit"] in {"none", "reqps", "percentunit", "µs"}
        for target in panel["targets"]:
            assert target["datasource"] == {"type": "prometheus", "uid": f"${{{variable['name']}}}"}
            assert len(set(target["refId"])) == 1
            # A label in a legend has to survive the aggregation.
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                assert f"sum by ({label})" in target["expr"]


def test_limits_are_those_of_the_alerts() -> None:
    settings = ServingSettings(monitoring=MonitoringSettings(max_error_share=0.2, max_latency_seconds=3.0))
    panels = {panel["title"]: panel for panel in dashboard(settings, "char_rnn")["panels"]}
    for title, limit in (("Failing requests", 0.2), ("Latency, 99th percentile", 3e6), ("Latency of predictions", 3e6)):
        assert panels[title]["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"] == limit


@pytest.mark.parametrize("model", ["char_rnn", "P" * 63])
def test_each_model_has_an_identifier_that_grafana_accepts(model: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", dashboard(ServingSettings(), model)["uid"])
