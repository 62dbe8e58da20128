"""What is asked of TF Serving and what is made of its answers.

A small script on PATH stands in for `tensorflow_model_server`: real TF Serving is not touched here.
"""

import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from serving.probe import tf_serving

# Plays the part that BEHAVIOUR says, and notes what it was asked; its last line of output is what a log would end with.
FAKE = """#!{python}
import http.server, json, os, sys

behaviour, notes = os.environ["BEHAVIOUR"], os.environ["NOTES"]
flags = dict(argument.lstrip("-").split("=", 1) for argument in sys.argv[1:])
base = flags["model_base_path"]
with open(notes, "w") as file:
    model = os.path.realpath(os.path.join(base, "1"))
    json.dump({{"pid": os.getpid(), "flags": flags, "model": model, "versions": os.listdir(base)}}, file)
print("reading the model", flush=True)
if behaviour == "dies":
    print("no op kernel for XlaLaunch", flush=True)
    sys.exit(1)
polls = 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global polls
        polls += 1
        if behaviour == "starts slowly" and polls < 3:
            return self.answer(404, {{"error": "not found"}}) if polls == 1 else self.answer(200, {{}})
        state = "START" if behaviour == "never" or behaviour == "starts slowly" and polls == 3 else "AVAILABLE"
        assert self.path == "/v1/models/candidate", self.path
        self.answer(200, {{"model_version_status": [{{"version": "1", "state": state}}]}})

    def do_POST(self):
        assert self.path == "/v1/models/candidate:predict", self.path
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open(notes + ".request", "w") as file:
            json.dump(body, file)
        if behaviour == "crashes":
            os._exit(1)
        if behaviour == "refuses":
            return self.answer(400, {{"error": "temperature must be from 0 to 100"}})
        if behaviour == "babbles":
            return self.answer(200, {{"outputs": []}})
        self.answer(200, {{"predictions": ["thé" if behaviour == "short" else "thé q"]}})

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

    def check(self, behaviour: str) -> str:
        self._monkeypatch.setenv("BEHAVIOUR", behaviour)
        return tf_serving.check(str(self.model))

    def noted(self, what: str = "") -> Any:
        return json.loads(Path(f"{self.notes}{what}").read_text())


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(tmp_path, monkeypatch)


def test_without_tf_serving_there_is_nothing_to_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tf_serving.check(str(tmp_path / "missing")) == ""


@pytest.mark.integration
def test_a_model_that_is_served_is_fit(server: Server) -> None:
    assert server.check("serves") == ""
    noted = server.noted()
    assert noted["model"] == str(server.model)
    assert noted["versions"].count("1") == 1
    assert [name for name in noted["versions"] if name.isdecimal()] == ["1"]
    assert noted["flags"]["port"] != noted["flags"]["rest_api_port"]
    assert server.noted(".request") == {
        "signature_name": "generate",
        "instances": [{"prompt": "The ", "num_chars": 5, "temperature": 0.8, "top_k": 0, "seed": 1}],
    }


@pytest.mark.integration
def test_a_server_that_is_not_ready_at_once_is_waited_for(server: Server) -> None:
    assert server.check("starts slowly") == ""


@pytest.mark.integration
@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("dies", "did not make the model available: reading the model no op kernel for XlaLaunch"),
        ("refuses", 'answered 400 to a generate request: {"error": "temperature must be from 0 to 100"}'),
        ("short", "was asked for 5 characters and gave 'thé'"),
        ("crashes", "did not answer a generate request: "),
        ("babbles", "did not answer a generate request: "),
    ],
)
def test_a_server_that_fails_gives_the_reason(server: Server, behaviour: str, reason: str) -> None:
    assert server.check(behaviour).startswith(f"{tf_serving.BINARY} {reason}")


@pytest.mark.integration
def test_a_model_that_never_becomes_available_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf_serving, "_START_SECONDS", 1.5)
    assert "did not make the model available" in server.check("never")


@pytest.mark.integration
@pytest.mark.parametrize("behaviour", ["serves", "short", "refuses"])
def test_the_server_is_gone_afterwards_and_so_is_its_directory(server: Server, behaviour: str) -> None:
    server.check(behaviour)
    noted = server.noted()
    with pytest.raises(ProcessLookupError):
        os.kill(noted["pid"], 0)
    assert not Path(noted["flags"]["model_base_path"]).exists()
    assert server.model.exists()


@pytest.mark.integration
def test_a_proxy_for_the_internet_is_not_asked_for_this_machine(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens on the discard port
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)  # which remembers the proxies it first saw
    monkeypatch.setattr(tf_serving, "_START_SECONDS", 20)
    assert server.check("serves") == ""
