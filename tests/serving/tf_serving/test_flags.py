"""One list of flags, and the files that they name.

`BatchingParameters` and `MonitoringConfig` are in no published package. Their descriptors are made here from the names,
numbers and types of TF Serving's sources, so that at least protobuf's own parser reads the texts.
"""

from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, message, message_factory, text_format, wrappers_pb2

from pipeline.config.serving import BatchingSettings, ServingSettings
from serving.tf_serving import flags

FIELD = descriptor_pb2.FieldDescriptorProto


def protos() -> dict[str, message.Message]:
    file = descriptor_pb2.FileDescriptorProto(name="test_flags.proto", package="test_flags", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    batching = file.message_type.add(name="BatchingParameters")
    names = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    for number, name in enumerate(names, 1):
        batching.field.add(
            name=name, number=number, type=FIELD.TYPE_MESSAGE, type_name=".google.protobuf.Int64Value", label=1
        )
    prometheus = file.message_type.add(name="PrometheusConfig")
    prometheus.field.add(name="enable", number=1, type=FIELD.TYPE_BOOL, label=1)
    prometheus.field.add(name="path", number=2, type=FIELD.TYPE_STRING, label=1)
    monitoring = file.message_type.add(name="MonitoringConfig")
    monitoring.field.add(
        name="prometheus_config", number=1, type=FIELD.TYPE_MESSAGE, type_name=".test_flags.PrometheusConfig", label=1
    )
    wrappers = descriptor_pb2.FileDescriptorProto.FromString(wrappers_pb2.DESCRIPTOR.serialized_pb)
    classes = message_factory.GetMessages([wrappers, file])
    return {name: classes[f"test_flags.{name}"]() for name in ("BatchingParameters", "MonitoringConfig")}


def test_files_are_text_protos_of_the_settings() -> None:
    settings = ServingSettings(batching=BatchingSettings(max_rows=8, max_waiting=9, timeout_microseconds=10, threads=3))
    made = protos()
    batching = text_format.Parse(flags.flag_files(settings)[flags.BATCHING_FILE], made["BatchingParameters"])
    assert batching.max_batch_size.value == 8
    assert batching.max_enqueued_batches.value == 9
    assert batching.batch_timeout_micros.value == 10
    assert batching.num_batch_threads.value == 3
    monitoring = text_format.Parse(flags.flag_files(settings)[flags.MONITORING_FILE], made["MonitoringConfig"])
    assert monitoring.prometheus_config.enable is True
    assert monitoring.prometheus_config.path == "/monitoring/prometheus/metrics"


def test_number_of_threads_is_optional() -> None:
    assert "num_batch_threads" not in flags.flag_files(ServingSettings())[flags.BATCHING_FILE]


def test_flags_have_the_settings() -> None:
    settings = ServingSettings(
        rest_port=1234, grpc_port=1235, poll_seconds=7, config_poll_seconds=8, request_timeout_seconds=9
    )
    assert flags.flags(settings, "/models", "/models") == [
        "--port=1235",
        "--rest_api_port=1234",
        "--rest_api_timeout_in_ms=9000",
        "--model_config_file=/models/models.config",
        "--model_config_file_poll_wait_seconds=8",
        "--file_system_poll_wait_seconds=7",
        "--allow_version_labels_for_unavailable_models=true",
        "--monitoring_config_file=/models/monitoring.config",
    ]


def test_batching_file_is_named_only_with_batching() -> None:
    """TF Serving does not start with the file and without the flag."""
    extra = set(flags.flags(ServingSettings(), "/m", "/m", checks_rows=True)) - set(
        flags.flags(ServingSettings(), "/m", "/m")
    )
    assert extra == {"--enable_batching=true", "--batching_parameters_file=/m/batching.config"}


@pytest.mark.parametrize(
    ("mode", "checks_rows", "batched"),
    [
        ("auto", True, True),
        ("auto", False, False),
        ("on", True, True),
        ("on", False, True),
        ("off", True, False),
        ("off", False, False),
    ],
)
def test_server_batches_unchecked_rows_only_if_configured(mode: str, checks_rows: bool, batched: bool) -> None:
    settings = ServingSettings.model_validate({"batching": {"mode": mode}})
    assert ("--enable_batching=true" in flags.flags(settings, "/m", "/m", checks_rows=checks_rows)) is batched


def test_only_changed_files_are_written(tmp_path: Path) -> None:
    flags.write_files(ServingSettings(), str(tmp_path))
    first = {path.name: (path.read_text(), path.stat().st_ino) for path in tmp_path.iterdir()}
    assert {name: text for name, (text, _) in first.items()} == flags.flag_files(ServingSettings())
    flags.write_files(ServingSettings(batching=BatchingSettings(max_rows=7)), str(tmp_path))
    assert "value: 7" in (tmp_path / "batching.config").read_text()
    assert (tmp_path / "monitoring.config").stat().st_ino == first["monitoring.config"][1]
