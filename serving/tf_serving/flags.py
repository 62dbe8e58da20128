"""The flags of every model server, and the small files that the flags name.

They are those of `tensorflow_model_server`; the embedded server accepts the same.
"""

import os

from components import files
from pipeline.config.serving import BatchingSettings, ServingSettings
from serving.tf_serving.model_config import FILE_NAME

BATCHING_FILE = "batching.config"
MONITORING_FILE = "monitoring.config"
METRICS_PATH = "/monitoring/prometheus/metrics"


def flags(settings: ServingSettings, directory: str, fixed: str, *, checks_rows: bool = False) -> list[str]:
    """Return the arguments of a model server.

    Args:
      directory: of `models.config`, as the server sees it.
      fixed: directory of the other files.
      checks_rows: whether the server validates every row before batching, as the embedded one does. Others let an
        invalid row fail the requests that it is batched with, so they batch only in mode `on`.
    """
    arguments = [
        f"--port={settings.grpc_port}",
        f"--rest_api_port={settings.rest_port}",
        f"--rest_api_timeout_in_ms={settings.request_timeout_seconds * 1000}",
        f"--model_config_file={os.path.join(directory, FILE_NAME)}",
        f"--model_config_file_poll_wait_seconds={settings.config_poll_seconds}",
        f"--file_system_poll_wait_seconds={settings.poll_seconds}",
        # A server that starts has loaded nothing yet, and would reject labels.
        "--allow_version_labels_for_unavailable_models=true",
        f"--monitoring_config_file={os.path.join(fixed, MONITORING_FILE)}",
    ]
    mode = settings.batching.mode
    if mode == "on" or (mode == "auto" and checks_rows):
        arguments += ["--enable_batching=true", f"--batching_parameters_file={os.path.join(fixed, BATCHING_FILE)}"]
    return arguments


def flag_files(settings: ServingSettings) -> dict[str, str]:
    """Return contents by name of the files that the flags name, except `models.config`."""
    return {BATCHING_FILE: _batching(settings.batching), MONITORING_FILE: _monitoring()}


def write_files(settings: ServingSettings, directory: str) -> None:
    """Write those files whose content differs; raises OSError."""
    for name, text in flag_files(settings).items():
        path = os.path.join(directory, name)
        try:
            with open(path, encoding="utf-8") as file:
                same = file.read() == text
        except (OSError, UnicodeDecodeError):
            same = False
        if not same:
            files.write(path, text, mode=0o644)


def _batching(settings: BatchingSettings) -> str:
    """Text of a `tensorflow.serving.BatchingParameters`; the default of threads is one per core."""
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
