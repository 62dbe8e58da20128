"""Start the embedded server: `python -m serving.embedded --rest_api_port=8501 --model_config_file=FILE`.

It accepts the flags of `tensorflow_model_server` that apply to it, and logs and ignores the others.
"""

import os
import sys

if not __package__:  # `python /path/to/serving/embedded`, from any directory
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from components import startup

if __name__ == "__main__":
    startup.begin("serving.embedded", "tensorflow", "pydantic", "httptools", "rapidjson", "starlette", "uvicorn")

import argparse
import asyncio
import errno
import gc
import logging
import resource
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components import command_line
from components.errors import UserError
from components.lean_imports import tensorflow_without_keras
from pipeline.config.serving import BatchingSettings, RequestLogSettings, ServingSettings
from serving.access import keys, tls
from serving.embedded.request_log import RequestLog
from serving.tf_serving import model_config, text_protos

if TYPE_CHECKING:
    import uvicorn

_MAX_JSON_DEPTH = 5_000  # TF Serving stops at about ten thousand levels, depending on the release
_DEFAULTS = ServingSettings()
_IDLE_SECONDS = 60  # an idle connection is closed after this time; clients close theirs earlier


def arguments(argv: list[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    """Parse the command line into options and the flags that are not known."""
    parser = command_line.Parser(prog="python -m serving.embedded", allow_abbrev=False, description=__doc__)
    add = parser.add_argument
    add("--rest_api_port", type=int, default=_DEFAULTS.rest_port, help="0: any free port")
    add("--model_config_file", required=True, help="path of models.config")
    add("--model_config_file_poll_wait_seconds", type=float, default=0.0, help="0: read it once")
    add("--file_system_poll_wait_seconds", type=float, default=float(_DEFAULTS.poll_seconds), help="0: scan once")
    add("--rest_api_timeout_in_ms", type=int, default=30_000)
    add("--rest_api_enable_cors_support", type=_boolean, nargs="?", const=True, default=False)
    add("--monitoring_config_file", help="whether and where to serve Prometheus metrics")
    add("--batching_parameters_file", help="max_batch_size, max_enqueued_batches and num_batch_threads are used")
    add("--host", default=_DEFAULTS.host, help="address to listen on")
    add("--max_request_bytes", type=int, default=_DEFAULTS.max_request_bytes)
    add("--max_concurrent_requests", type=int, default=_DEFAULTS.max_concurrent_requests)
    add("--api_key_file", help="file of API keys, one a line; every request needs one")
    add("--tls_cert", help="PEM file of the certificate and its chain")
    add("--tls_key", help="PEM file of its private key")
    add("--request_log", help="file of the request log; none without")
    add("--request_log_text", action="store_true", help="log the texts, too")
    add("--request_log_max_bytes", type=int, default=_DEFAULTS.request_log.max_bytes)
    add("--request_log_files", type=int, default=_DEFAULTS.request_log.files)
    return parser.parse_known_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; requests in progress are finished first."""
    options, ignored = arguments(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.captureWarnings(True)
    if ignored:
        logging.info("Ignoring flags that do not apply to the embedded server: %s", " ".join(ignored))
    _allow_many_connections()
    # Until uvicorn installs its handlers, and after it removes them: then it raises the signal again.
    startup.exit_on(signal.SIGTERM, signal.SIGINT)
    logging.info("Starting: importing TensorFlow takes a few seconds")
    return command_line.run(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    with _listen(options.host, options.rest_api_port) as listening:
        return _serve(options, listening)


def _serve(options: argparse.Namespace, listening: socket.socket) -> int:
    """Check the files that the flags name, then load the models and answer requests."""
    files = options.batching_parameters_file, options.monitoring_config_file
    batching = text_protos.batching(_read(files[0]), files[0]) if files[0] else BatchingSettings()
    metrics_path = text_protos.metrics_path(_read(files[1]), files[1]) if files[1] else None
    model_config.parse(_read(options.model_config_file), options.model_config_file)
    encryption = tls.server_options(options.tls_cert, options.tls_key)
    api_keys = keys.for_server(options.api_key_file, options.host, bool(encryption))
    server = _server(options, batching, metrics_path, api_keys, _request_log(options), encryption)
    host, port = listening.getsockname()[:2]
    logging.info("REST API at %s port %d%s", host, port, ", with TLS" if encryption else "")
    try:
        asyncio.run(server.serve([listening]))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise _port_taken(host, port, error) from error
    return command_line.OK


def _server(
    options: argparse.Namespace,
    batching: BatchingSettings,
    metrics_path: str | None,
    api_keys: keys.Keys | None,
    log: RequestLog | None,
    encryption: dict[str, Any],
) -> "uvicorn.Server":
    """Import TensorFlow and read the list of models."""
    sys.setrecursionlimit(_MAX_JSON_DEPTH)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow raises the errors that matter
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # Imported late: TensorFlow takes seconds, and a mistake in the flags must be reported first.
    tensorflow_without_keras()
    import uvicorn

    from serving.embedded.metrics import Metrics
    from serving.embedded.models.catalogue import Catalogue
    from serving.embedded.rest import app, uvicorn_protocol

    gc.freeze()  # imported objects are never freed: scanning them at each unload would delay requests
    metrics = Metrics()
    catalogue = Catalogue(
        options.model_config_file,
        batching,
        options.file_system_poll_wait_seconds,
        options.model_config_file_poll_wait_seconds,
        metrics,
    )
    limits = app.ServerLimits(
        timeout_seconds=options.rest_api_timeout_in_ms / 1000,
        body_bytes=options.max_request_bytes,
        requests=options.max_concurrent_requests,
        cross_origin=options.rest_api_enable_cors_support,
        metrics_path=metrics_path,
    )
    config = uvicorn.Config(
        app.Server(catalogue, metrics, limits, api_keys, log).application(),
        http=uvicorn_protocol.Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=options.rest_api_timeout_in_ms // 1000 + 1,
        **encryption,
    )
    return uvicorn_protocol.Server(config, catalogue.stop_loading)


def _request_log(options: argparse.Namespace) -> RequestLog | None:
    if not options.request_log:
        return None
    sizes = {"max_bytes": options.request_log_max_bytes, "files": options.request_log_files}
    return RequestLog(RequestLogSettings(file=options.request_log, text=options.request_log_text, **sizes))


def _allow_many_connections() -> None:
    """Raise the limit of open files to the maximum: each connection is one."""
    _, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (maximum, maximum))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is explicit, so that asyncio sets TCP_NODELAY; otherwise each response waits 40 ms for an ACK.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise _port_taken(host, port, error) from error
    return listening  # bound only: like TF Serving, the server accepts no connection before the first scan


def _port_taken(host: str, port: int, error: OSError | OverflowError) -> UserError:
    reason = getattr(error, "strerror", None) or error
    return UserError(
        f"The server cannot listen on this address: {reason}. Stop the process that uses the port, or set another "
        f"one with --rest_api_port. Received: {host} port {port}"
    )


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"A file that a flag names cannot be read: {error}. Received: {path}") from error


def _boolean(word: str) -> bool:
    return word.lower() in ("true", "1", "yes")


if __name__ == "__main__":
    sys.exit(main())
