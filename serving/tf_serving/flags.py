"""The one list of flags with which every model server is started, and the small files that the flags name.

They are `tensorflow_model_server`'s own; the embedded server takes the same.
"""

import os

from pipeline.config.serving import BatchingSettings, ServingSettings
from serving.tf_serving.model_config import FILE_NAME, write_whole

BATCHING_FILE = "batching.config"
MONITORING_FILE = "monitoring.config"
METRICS_PATH = "/monitoring/prometheus/metrics"


def flags(settings: ServingSettings, directory: str, *, batching: bool, fixed: str | None = None) -> list[str]:
    """Arguments of a model server.

    Args:
      settings: how to serve.
      directory: where `models.config` is, as the server sees it.
      batching: whether requests are joined, see `joins`.
      fixed: where the other files are, None: beside it.
    """
    fixed = directory if fixed is None else fixed
    given = [
        f"--port={settings.grpc_port}",
        f"--rest_api_port={settings.rest_port}",
        f"--rest_api_timeout_in_ms={settings.request_timeout_seconds * 1000}",
        f"--model_config_file={os.path.join(directory, FILE_NAME)}",
        f"--model_config_file_poll_wait_seconds={settings.config_poll_seconds}",
        f"--file_system_poll_wait_seconds={settings.poll_seconds}",
        # When a server starts nothing is loaded yet, and it would refuse labels.
        "--allow_version_labels_for_unavailable_models=true",
        f"--monitoring_config_file={os.path.join(fixed, MONITORING_FILE)}",
    ]
    if batching:
        given += ["--enable_batching=true", f"--batching_parameters_file={os.path.join(fixed, BATCHING_FILE)}"]
    return given


def joins(settings: BatchingSettings, *, checks_rows: bool) -> bool:
    """Whether a server joins requests, given whether it checks every row before (the embedded server does)."""
    return settings.mode == "on" or (settings.mode == "auto" and checks_rows)


def files(settings: ServingSettings) -> dict[str, str]:
    """Contents of the files that the flags name, but for `models.config`, by file name."""
    return {BATCHING_FILE: _batching(settings.batching), MONITORING_FILE: _monitoring()}


def write_files(settings: ServingSettings, directory: str) -> None:
    """Write them where they differ; raises OSError."""
    for name, text in files(settings).items():
        path = os.path.join(directory, name)
        try:
            with open(path, encoding="utf-8") as file:
                same = file.read() == text
        except (OSError, UnicodeDecodeError):
            same = False
        if not same:
            write_whole(path, text)


def _batching(settings: BatchingSettings) -> str:
    """Text of a `tensorflow.serving.BatchingParameters`; threads left out are one for each core."""
    values = {
        "max_batch_size": settings.max_rows,
        "batch_timeout_micros": settings.timeout_microseconds,
        "max_enqueued_batches": settings.max_waiting,
        "num_batch_threads": settings.threads,
    }
    return "".join(f"{name} {{ value: {value} }}\n" for name, value in values.items() if value is not None)


def _monitoring() -> str:
    """Text of a `tensorflow.serving.MonitoringConfig`."""
    return f'prometheus_config {{\n  enable: true\n  path: "{METRICS_PATH}"\n}}\n'
