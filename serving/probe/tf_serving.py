"""Try an exported model in TF Serving itself, where `tensorflow_model_server` is on PATH."""

import http.client
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

BINARY = "tensorflow_model_server"
_START_SECONDS = 120.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy cannot reach this machine's ports


def check(model: str) -> str:
    """Why TF Serving does not serve the SavedModel; empty if it does, or if there is no TF Serving here."""
    binary = shutil.which(BINARY)
    if binary is None:
        return ""
    with tempfile.TemporaryDirectory(prefix="char-rnn-infra-") as base:
        Path(base, "1").symlink_to(Path(model).resolve())
        grpc, rest = _free_port(), _free_port()
        command = [
            binary,
            f"--port={grpc}",
            f"--rest_api_port={rest}",
            "--model_name=candidate",
            f"--model_base_path={base}",
        ]
        log = Path(base, "log")
        with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as server:
            try:
                return _try(f"http://127.0.0.1:{rest}/v1/models/candidate", server, log)
            finally:
                server.kill()


def _try(url: str, server: "subprocess.Popen[bytes]", log: Path) -> str:
    """Wait until the model is AVAILABLE, which includes its warm-up, and generate a few characters."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            status = json.loads(_fetch(url))["model_version_status"][0]
            if status["state"] == "AVAILABLE":
                break
        except (OSError, LookupError, ValueError):
            pass
        if server.poll() is not None or time.monotonic() > deadline:
            tail = " ".join(log.read_text(errors="replace").splitlines()[-3:])
            return f"{BINARY} did not make the model available: {tail[-300:]}"
        time.sleep(0.2)
    instance = {"prompt": "The ", "num_chars": 5, "temperature": 0.8, "top_k": 0, "seed": 1}
    body = json.dumps({"signature_name": "generate", "instances": [instance]}).encode()
    try:
        text = json.loads(_fetch(f"{url}:predict", body))["predictions"][0]
    except urllib.error.HTTPError as error:
        return f"{BINARY} answered {error.code} to a generate request: {error.read().decode(errors='replace')[:300]}"
    except (OSError, http.client.HTTPException, LookupError, TypeError, ValueError) as error:
        return f"{BINARY} did not answer a generate request: {type(error).__name__}: {error}"
    return "" if len(text) == 5 else f"{BINARY} was asked for 5 characters and gave {text!r}"


def _fetch(url: str, body: bytes | None = None) -> bytes:
    with _DIRECT.open(url, body, timeout=30) as answer:
        return bytes(answer.read())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
