"""Check an exported model in TF Serving, where `tensorflow_model_server` is on PATH."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from components.models import versions
from serving.client import Client, ClientError
from serving.client.status import AVAILABLE

BINARY = "tensorflow_model_server"
_START_SECONDS = 120.0
_REQUEST_SECONDS = 30.0
_CHARS = 5


def check(model: str) -> str:
    """Return why TF Serving does not serve the SavedModel; empty if it does, or if it is not installed.

    Args:
      model: a local path, or a URL that TensorFlow can open.
    """
    binary = shutil.which(BINARY)
    if binary is None:
        return ""
    with tempfile.TemporaryDirectory(prefix="char-rnn-infra-") as base:
        if "://" in model:
            versions.copy(model, os.path.join(base, "1"))
        else:
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
                with Client(f"http://127.0.0.1:{rest}", "candidate", timeout=_REQUEST_SECONDS, retries=0) as client:
                    return _wait(client, server, log) or _check_generate(client)
            finally:
                server.kill()


def _wait(client: Client, server: "subprocess.Popen[bytes]", log: Path) -> str:
    """Wait until the model is available, which includes its warm-up; return why it never becomes available."""
    deadline = time.monotonic() + _START_SECONDS
    while not _is_available(client):
        if server.poll() is not None or time.monotonic() > deadline:
            tail = " ".join(log.read_text(errors="replace").splitlines()[-3:])
            return f"{BINARY} did not make the model available: {tail[-300:]}"
        time.sleep(0.2)
    return ""


def _is_available(client: Client) -> bool:
    try:
        return any(version.state == AVAILABLE for version in client.status())
    except ClientError:
        return False


def _check_generate(client: Client) -> str:
    try:
        text = client.generate("The ", num_chars=_CHARS, temperature=0.8, top_k=0, seed=1)
    except ClientError as error:
        return f"{BINARY} failed to generate text: {error}"
    return "" if len(text) == _CHARS else f"{BINARY} must generate {_CHARS} characters. Received: {text!r}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
