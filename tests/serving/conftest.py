"""A scripted server and a real one; pushed versions; fakes of TF Serving and Docker."""

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import ports, warm

ROOT = Path(__file__).resolve().parents[2]
CHARACTERS = " etaoinshrdlu\nROME:é語"
UNITS = 16


@dataclass
class Reply:
    """A scripted response; a `body` other than bytes becomes JSON."""

    status: int
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0  # seconds before it
    reset: bool = False  # break the connection instead


@dataclass
class Script:
    """The responses of the server, in order, and the requests that it received."""

    url: str
    replies: list[Reply] = field(default_factory=list)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)

    def then(self, status: int, body: Any = b"", **how: Any) -> "Script":
        self.replies.append(Reply(status, body, **how))
        return self

    def then_reset(self) -> "Script":
        return self.then(0, reset=True)

    def then_metadata(self, version: int, state_size: int) -> "Script":
        state = {"tensor_shape": {"dim": [{"size": "-1"}, {"size": str(state_size)}]}}
        signatures = {"generate_from_state": {"inputs": {"state": state}}}
        described = {"signature_def": {"signature_def": signatures}}
        return self.then(200, {"model_spec": {"version": str(version)}, "metadata": described})

    def then_chunk(self, text: str, state: list[float]) -> "Script":
        return self.then(200, {"predictions": [{"text": text, "state": state}]})


@pytest.fixture
def script() -> Iterator[Script]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # header and body in one piece

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = json.loads(body) if body else None
            if isinstance(asked, dict) and asked.get("signature_name") == "eval_nll":
                # The commands ask for a prompt's unknown characters after its text; no script is about that.
                reply = Reply(400, {"error": "no such signature"})
            else:
                played.asked.append((self.command, self.path, asked))
                reply = played.replies.pop(0) if played.replies else Reply(500, {"error": "end of the script"})
            time.sleep(reply.delay)
            if reply.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
                return
            content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(content)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer  # noqa: N815 - http.server's names

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that disconnected, or the connection that `reset` broke

    with Server(("127.0.0.1", 0), Handler) as server:
        played = Script(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield played
        server.shutdown()
        thread.join()


@dataclass(frozen=True)
class Served:
    """URL of the embedded server, and the root whose newest version it serves under the name `tiny`."""

    url: str
    root: str
    model: str = "tiny"


@pytest.fixture(scope="session")
def tiny() -> tuple[SimpleNamespace, str]:
    """Random weights and the characters of a model, as `tests.gru` takes them."""
    import numpy as np

    random = np.random.default_rng(5)

    def normal(*shape: int) -> Any:
        return np.asarray(random.standard_normal(shape), np.float32)

    ids = len(CHARACTERS) + 1
    layer = (normal(8, 3 * UNITS), normal(UNITS, 3 * UNITS), normal(2, 3 * UNITS))
    weights = SimpleNamespace(embedding=normal(ids, 8), layers=[layer])
    weights.projection, weights.projection_bias = normal(UNITS, ids), normal(ids)
    return weights, CHARACTERS


@pytest.fixture(scope="module")
def without_graph_optimizer() -> Iterator[None]:
    """Trace functions with the options of an export, see `signatures.save`; their first calls are faster, too."""
    import tensorflow as tf

    name = "disable_meta_optimizer"
    before = tf.config.optimizer.get_experimental_options().get(name, False)
    tf.config.optimizer.set_experimental_options({name: True})
    yield
    tf.config.optimizer.set_experimental_options({name: before})


@pytest.fixture(scope="session")
def pushed(tiny: tuple[SimpleNamespace, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A root with version 3 of a model `tiny`, saved by the pipeline's code."""
    from serving.graph import signatures
    from serving.graph.one_step import Defaults, OneStep, Weights
    from transform.vocabulary import Vocabulary

    weights = Weights(**vars(tiny[0]))
    root = tmp_path_factory.mktemp("pushed")
    model = OneStep(weights, Vocabulary(tuple(map(ord, CHARACTERS))), Defaults(40, 0.8, 0, 1_000))
    signatures.save(model, str(root / "serving" / "tiny" / "3"))
    return str(root)


@pytest.fixture(scope="session")
def served(pushed: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The embedded server in a separate process."""
    port = ports.free()
    folder = tmp_path_factory.mktemp("server")
    base = os.path.join(pushed, "serving", "tiny")
    models = folder / "models.config"
    models.write_text(
        f'model_config_list {{ config {{ name: "tiny" base_path: "{base}" model_platform: "tensorflow" }} }}'
    )
    command = [warm.python(), "-m", "serving.embedded", f"--rest_api_port={port}", f"--model_config_file={models}"]
    with (
        open(folder / "log", "wb") as log,
        subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT) as server,
    ):
        try:
            _wait(f"http://127.0.0.1:{port}/v1/models/tiny", server, folder / "log")
            yield Served(f"http://127.0.0.1:{port}", pushed)
        finally:
            server.terminate()


def _wait(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 120
    while True:
        try:
            with direct.open(url, timeout=5) as answer:
                if json.load(answer)["model_version_status"][0]["state"] == "AVAILABLE":
                    return
        except OSError:
            pass
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root without pushed models."""
    return tmp_path / "output"


@pytest.fixture
def push(root: Path) -> Callable[..., Path]:
    """Make directories that look like versions below the root; no server can load them."""

    def make(version: int, perplexity: float = 4.5, model: str = "char_rnn", **facts: Any) -> Path:
        path = root / "serving" / model / str(version)
        (path / "variables").mkdir(parents=True)
        (path / "saved_model.pb").write_text("graph")
        (path / "variables" / "variables.index").write_text("index")
        entry = {"version": version, "perplexity": perplexity, "bits_per_character": 2.17, "corpus": "/texts/play.txt"}
        registry = root / "registry" / model
        registry.mkdir(parents=True, exist_ok=True)
        (registry / f"{version}.json").write_text(
            json.dumps(entry | {"pushed_at": "2026-01-02T03:04:05+00:00"} | facts)
        )
        return path

    return make


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put `fake_programs.py` on PATH under a name; return the file in which it records its calls."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))  # and nothing else: this machine may have the real programs

    def make(name: str) -> Path:
        calls = tmp_path / f"{name}.calls"
        fake = Path(__file__).with_name("fake_programs.py")
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" "{fake}" "{calls}" "$@"\n')
        (folder / name).chmod(0o755)
        return calls

    return make


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Find a free port."""

    return ports.free
