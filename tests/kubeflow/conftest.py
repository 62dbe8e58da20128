"""The small KFP server and a webhook as fixtures."""

import http.server
import importlib.util
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """State of a running server. The module is loaded by path: a package `tests` of the index may hide ours."""
    name = "kfp_server_for_tests"
    if name not in sys.modules:
        found = importlib.util.spec_from_file_location(name, Path(__file__).with_name("kfp_server.py"))
        assert found
        assert found.loader
        sys.modules[name] = importlib.util.module_from_spec(found)
        found.loader.exec_module(sys.modules[name])
    from kubeflow.deploy import responses, server

    monkeypatch.setattr(server, "RETRY_PAUSES", (0.01, 0.01))
    monkeypatch.setattr(responses, "TIMEOUTS", (1.0, 1.0))
    for variable in ("KFP_TOKEN", "KFP_COOKIES", "KFP_NAMESPACE", "KF_PIPELINES_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    with sys.modules[name].running() as running:
        yield running


@pytest.fixture
def webhook() -> Iterator[Any]:
    """A server that keeps what it gets."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.received.append((self.path, self.headers["Content-Type"], json.loads(body)))
            self.send_response(404 if "gone" in self.path else 302 if "moved" in self.path else 200)
            self.send_header("Location", "/")
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.received = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()
