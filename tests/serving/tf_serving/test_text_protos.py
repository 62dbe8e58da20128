"""The files that flags name are read as protobuf's text format, comments and quotes included."""

import pytest

from components.errors import UserError
from pipeline.config.serving import BatchingSettings, ServingSettings
from serving.tf_serving import flags, text_protos

DEFAULTS = BatchingSettings()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("max_batch_size { value: 8 }\nmax_enqueued_batches { value: 3 }\nnum_batch_threads { value: 2 }", (8, 3, 2)),
        ("max_batch_size: < value: 8 >", {"max_rows": 8}),
        ("# max_batch_size { value: 8 }\nmax_enqueued_batches { value: 3 } # { value: 4 }", {"max_waiting": 3}),
        ("max_batch_size { # value: 8\n value: 9 }", {"max_rows": 9}),
        ('thread_pool_name { value: "#1" } max_batch_size { value: 0x10 }', {"max_rows": 16}),
        ('thread_pool_name { value: "max_batch_size { value: 8 }" }', {}),
        (
            "allowed_batch_sizes: [4, 8] pad_variable_length_inputs: true enable_large_batch_splitting { value: true }",
            {},
        ),
    ],
)
def test_batching(text: str, expected: dict[str, int] | tuple[int, ...]) -> None:
    if isinstance(expected, tuple):
        expected = dict(zip(("max_rows", "max_waiting", "threads"), expected))
    assert text_protos.batching(text, "f") == DEFAULTS.model_copy(update=expected)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("prometheus_config { enable: true }", "/monitoring/prometheus/metrics"),
        ('prometheus_config: {\n  enable: true,\n  path: "/metrics" # here\n}', "/metrics"),
        ('prometheus_config { path: "/#/{x}" enable: true }', "/#/{x}"),
        ("prometheus_config { # enable: true\n}", None),
        ("prometheus_config { enable: false }", None),
        ("prometheus_config {}", None),
        ("# none", None),
    ],
)
def test_path_of_the_metrics(text: str, path: str | None) -> None:
    assert text_protos.metrics_path(text, "f") == path


@pytest.mark.parametrize(
    "text",
    [
        "nonsense {",
        "max_batch_size { value: 0 }",
        "max_batch_size { value: -1 }",
        "max_batch_size { value: 1.5 }",
        "max_batch_size: 8",
        "max_batch_size { value: 8 } max_batch_size { value: 9 }",
    ],
)
def test_other_batching_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="Received: .*batching.config"):
        text_protos.batching(text, "/etc/batching.config")


@pytest.mark.parametrize(
    "text", ["enable: true", "prometheus_config: true", "prometheus_config { enable: maybe }", "["]
)
def test_other_monitoring_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="not a MonitoringConfig .* Received: f"):
        text_protos.metrics_path(text, "f")


def test_written_files_are_read_again() -> None:
    settings = BatchingSettings(max_rows=8, max_waiting=9, threads=3)
    written = flags.flag_files(ServingSettings(batching=settings))
    assert text_protos.batching(written[flags.BATCHING_FILE], "f") == settings
    assert text_protos.metrics_path(written[flags.MONITORING_FILE], "f") == flags.METRICS_PATH
