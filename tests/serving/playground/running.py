"""Start real servers for the page: the embedded one as a process, the playground in a thread."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import uvicorn

from serving.playground.app import application

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 90.0
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}


def write_model(directory: Path) -> None:
    """A version of the small model, in a process of its own: the tests need no TensorFlow."""
    command = [sys.executable, "-m", "tests.serving.playground.small_model", str(directory)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **_QUIET}, check=True, capture_output=True)


@contextlib.contextmanager
def embedded(config: Path, model: str) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Serve a models.config; yields address and process once the model is available."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", config.with_suffix(".log")
    command = [sys.executable, "-m", "serving.embedded", f"--rest_api_port={port}", f"--model_config_file={config}"]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=ROOT, env={**os.environ, **_QUIET}, stdout=output, stderr=output) as process,
    ):
        try:
            deadline = time.monotonic() + START_SECONDS
            with httpx.Client(trust_env=False) as client:
                while not _available(client, f"{url}/v1/models/{model}"):
                    assert process.poll() is None, log.read_text()
                    assert time.monotonic() < deadline, log.read_text()
                    time.sleep(0.1)
            yield url, process
        finally:
            process.kill()


def _available(client: httpx.Client, route: str) -> bool:
    try:
        return "AVAILABLE" in client.get(route).text
    except httpx.TransportError:
        return False


@contextlib.contextmanager
def playground(server_url: str, model: str, registry: Path | None = None) -> Iterator[str]:
    """Serve the page; yields its address."""
    app = application(server_url, model, str(registry) if registry else None)
    config = uvicorn.Config(app, http="httptools", ws="none", log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()
