"""The requests that the probe sends to TF Serving, and its verdict on the responses.

A script on PATH stands in for `tensorflow_model_server`; the real one is not used here.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from serving.probe import tf_serving
from tests.bucket import Bucket

# Behaves as BEHAVIOR selects and records the request; its last line of output is the end of the log.
FAKE = """#!{python}
import http.server, json, os, sys

behavior, notes = os.environ["BEHAVIOR"], os.environ["NOTES"]
flags = dict(argument.lstrip("-").split("=", 1) for argument in sys.argv[1:])
base = flags["model_base_path"]
with open(notes, "w") as file:
    model = os.path.realpath(os.path.join(base, "1"))
    content = [os.listdir(base), os.listdir(model)]
    json.dump({{"pid": os.getpid(), "flags": flags, "model": model, "versions": content[0], "files": content[1]}}, file)
print("reading the model", flush=True)
if behavior == "dies":
    print("no op kernel for XlaLaunch", flush=True)
    sys.exit(1)
polls = 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global polls
        polls += 1
        if behavior == "starts slowly" and polls < 3:
            return self.answer(404, {{"error": "not found"}}) if polls == 1 else self.answer(200, {{}})
        state = "START" if behavior == "never" or behavior == "starts slowly" and polls == 3 else "AVAILABLE"
        assert self.path == "/v1/models/candidate", self.path
        self.answer(200, {{"model_version_status": [{{"version": "1", "state": state}}]}})

    def do_POST(self):
        assert self.path == "/v1/models/candidate:predict", self.path
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open(notes + ".request", "w") as file:
            json.dump(body, file)
        if behavior == "crashes":
            os._exit(1)
        if behavior == "refuses":
            return self.answer(400, {{"error": "temperature must be from 0 to 100"}})
        if behavior == "sends nonsense":
            return self.answer(200, {{"outputs": []}})
        self.answer(200, {{"predictions": ["thé" if behavior == "short" else "thé q"]}})

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.HTTPServer(("127.0.0.1", int(flags["rest_api_port"])), Handler).serve_forever()
"""


class Server:
    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.notes = tmp_path / "notes"
        self.model = tmp_path / "the model"
        self.model.mkdir()
        program = tmp_path / "bin" / tf_serving.BINARY
        program.parent.mkdir()
        program.write_text(FAKE.format(python=sys.executable))
        program.chmod(0o755)
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("PATH", str(program.parent))
        monkeypatch.setenv("NOTES", str(self.notes))

    def check(self, behavior: str) -> str:
        self._monkeypatch.setenv("BEHAVIOR", behavior)
        return tf_serving.check(str(self.model))

    def recorded(self, what: str = "") -> Any:
        return json.loads(Path(f"{self.notes}{what}").read_text())


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(tmp_path, monkeypatch)


def test_without_tf_serving_the_check_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tf_serving.check(str(tmp_path / "missing")) == ""


@pytest.mark.integration
def test_a_model_that_is_served_passes(server: Server) -> None:
    assert server.check("serves") == ""
    recorded = server.recorded()
    assert recorded["model"] == str(server.model)
    assert recorded["versions"].count("1") == 1
    assert [name for name in recorded["versions"] if name.isdecimal()] == ["1"]
    assert recorded["flags"]["port"] != recorded["flags"]["rest_api_port"]
    assert server.recorded(".request") == {
        "signature_name": "generate",
        "instances": [{"prompt": "The ", "num_chars": 5, "temperature": 0.8, "top_k": 0, "seed": 1}],
    }


@pytest.mark.integration
def test_a_model_in_a_bucket_is_checked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    Bucket.install(monkeypatch).objects["gs://bucket/model/saved_model.pb"] = b"graph"
    monkeypatch.setenv("BEHAVIOR", "serves")
    assert tf_serving.check("gs://bucket/model") == ""
    assert server.recorded()["files"] == ["saved_model.pb"]


@pytest.mark.integration
def test_the_check_waits_for_a_server_that_is_not_ready_yet(server: Server) -> None:
    assert server.check("starts slowly") == ""


@pytest.mark.integration
@pytest.mark.parametrize(
    ("behavior", "reason"),
    [
        ("dies", "did not make the model available: reading the model no op kernel for XlaLaunch"),
        ("refuses", "failed to generate text: The server responded 400: temperature must be from 0 to 100. "),
        ("short", "must generate 5 characters. Received: 'thé'"),
        ("crashes", "failed to generate text: "),
        ("sends nonsense", "failed to generate text: "),
    ],
)
def test_a_server_that_fails_is_the_reason(server: Server, behavior: str, reason: str) -> None:
    assert server.check(behavior).startswith(f"{tf_serving.BINARY} {reason}")


@pytest.mark.integration
def test_a_model_that_never_becomes_available_fails(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf_serving, "_START_SECONDS", 1.5)
    assert "did not make the model available" in server.check("never")


@pytest.mark.integration
@pytest.mark.parametrize("behavior", ["serves", "short", "refuses"])
def test_the_server_is_stopped_and_its_directory_deleted(server: Server, behavior: str) -> None:
    server.check(behavior)
    recorded = server.recorded()
    with pytest.raises(ProcessLookupError):
        os.kill(recorded["pid"], 0)
    assert not Path(recorded["flags"]["model_base_path"]).exists()
    assert server.model.exists()


@pytest.mark.integration
def test_a_proxy_is_not_used_for_this_machine(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens on the discard port
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tf_serving, "_START_SECONDS", 20)
    assert server.check("serves") == ""
