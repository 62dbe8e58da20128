"""Real servers for the page: the embedded server as a process, the playground in a thread."""

import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from playwright.sync_api import Browser, Page, Request

from serving.playground.app import application
from tests import warm

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 90.0
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}


@dataclass
class Served:
    """A model server, its models.config and the registry."""

    url: str
    config: Path
    registry: Path


@dataclass
class Site:
    """The page, the model server, a browser and the requests that the browser sent."""

    url: str
    served: Served
    browser: Browser
    requests: list[Request]

    def open(self, fragment: str = "", url: str | None = None, **context: Any) -> Page:
        page = self.browser.new_context(**context).new_page()
        page.on("request", lambda request: self.requests.append(request))
        page.goto((url or self.url) + fragment)
        return page

    def ask(self, signature: str, rows: list[dict[str, Any]]) -> list[Any]:
        body = {"signature_name": signature, "instances": rows}
        with httpx.Client(trust_env=False, timeout=60) as client:
            answer = client.post(f"{self.served.url}/v1/models/small:predict", json=body).raise_for_status().json()
        predictions: list[Any] = answer["predictions"]
        return predictions


def write_model(directory: Path) -> None:
    """Write a version of the small model in a separate process, so that the tests need no TensorFlow."""
    command = [warm.python(), "-m", "tests.serving.playground.small_model", str(directory)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **_QUIET}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def embedded(config: Path, model: str) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Serve a models.config; yields URL and process when the model is available."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", config.with_suffix(".log")
    command = [warm.python(), "-m", "serving.embedded", f"--rest_api_port={port}", f"--model_config_file={config}"]
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
        return '"AVAILABLE"' in client.get(route).text
    except httpx.TransportError:
        return False


@contextlib.contextmanager
def playground(server_url: str, model: str, registry: Path | None = None) -> Iterator[str]:
    """Serve the page; yields its URL."""
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
