"""The metrics page, parsed by the Prometheus client library."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from serving.embedded.metrics import Metrics

PREFIX = ":tensorflow:serving:"  # the parser adds `_total` to a counter's name


def samples(metrics: Metrics) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(metrics.text()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_new_metrics_are_empty() -> None:
    assert samples(Metrics()) == {}


def test_requests_are_counted_by_model_and_code() -> None:
    metrics = Metrics()
    for code in ("OK", "OK", "INVALID_ARGUMENT"):
        metrics.count_request("m", "predict", code, 0.01)
    assert samples(metrics)[f"{PREFIX}request_count_total"] == {
        (("model_name", "m"), ("status", "OK")): 2,
        (("model_name", "m"), ("status", "INVALID_ARGUMENT")): 1,
    }


@given(st.lists(st.floats(0, 1e7, allow_nan=False), min_size=1, max_size=20))
def test_a_bucket_counts_the_values_up_to_its_bound(seconds: list[float]) -> None:
    metrics = Metrics()
    for one in seconds:
        metrics.count_request("m", "predict", "OK", one)
    found = samples(metrics)
    labels = (("API", "predict"), ("entrypoint", "REST"), ("model_name", "m"))
    assert found[f"{PREFIX}request_latency_count"] == {labels: len(seconds)}
    assert found[f"{PREFIX}request_latency_sum"][labels] == pytest.approx(sum(seconds) * 1e6)
    buckets = {dict(key)["le"]: value for key, value in found[f"{PREFIX}request_latency_bucket"].items()}
    assert buckets["+Inf"] == len(seconds)
    for bound, count in buckets.items():
        assert count == sum(one * 1e6 <= float(bound) for one in seconds)


def test_only_requests_that_succeeded_are_timed() -> None:
    metrics = Metrics()
    metrics.count_request("m", "predict", "NOT_FOUND", 1.0)
    assert f"{PREFIX}request_latency_count" not in samples(metrics)


def test_warm_ups_and_runtimes_are_timed() -> None:
    metrics = Metrics()
    metrics.record_warmup("/models/m/1", 1.5)
    metrics.record_runtime("m", 0.25)
    found = samples(metrics)
    assert found[f"{PREFIX}model_warmup_latency_sum"] == {(("model_path", "/models/m/1"), ("status", "OK")): 1.5e6}
    labels = (("API", "Predict"), ("model_name", "m"), ("runtime", "TF1"))
    assert found[f"{PREFIX}runtime_latency_sum"] == {labels: 0.25e6}


def test_loads_are_counted_by_directory_and_result() -> None:
    metrics = Metrics()
    for status in ("fail", "fail", "success"):
        metrics.count_load("/models/m/1", status)
    assert samples(metrics)[":tensorflow:cc:saved_model:load_attempt_count_total"] == {
        (("model_path", "/models/m/1"), ("status", "fail")): 2,
        (("model_path", "/models/m/1"), ("status", "success")): 1,
    }


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "é", ""])
def test_any_name_can_be_a_label(name: str) -> None:
    metrics = Metrics()
    metrics.count_request(name, "predict", "OK", 0.1)
    assert {dict(key)["model_name"] for key in samples(metrics)[f"{PREFIX}request_count_total"]} == {name}


def test_concurrent_updates_are_all_counted() -> None:
    metrics = Metrics()

    def count() -> None:
        for _ in range(500):
            metrics.count_request("m", "predict", "OK", 0.001)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(samples(metrics)[f"{PREFIX}request_count_total"].values()) == [2000]
