"""The server under test: the one at --serving-url, else the embedded server with the suite's models.

    pytest tests/serving/contract --serving-url http://127.0.0.1:8501

runs the same suite against another server of the models that `tests/serving/contract/models.py` wrote.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ports, warm
from tests.serving.contract import wire

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 180.0  # several models at once, on a busy machine
MODELS = ("contract", "latest%21%23", "text")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--serving-url", help="test the server at http://HOST:PORT instead of the embedded one")


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[wire.Server]:
    # pytest reads this file too late to add the option unless the command line names this folder.
    url = request.config.getoption("--serving-url", None)
    if url:
        served = wire.parse_url(url)
        _wait(served, None, None)
        yield served
        return
    directory = tmp_path_factory.mktemp("contract")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    build = [warm.python(), "-m", "tests.serving.contract.models", str(directory)]
    subprocess.run(build, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    port, log = ports.free(), directory / "server.log"
    command = [
        warm.python(),
        "-m",
        "serving.embedded",
        "--host=127.0.0.1",
        f"--rest_api_port={port}",
        f"--model_config_file={directory / 'models.config'}",
        f"--monitoring_config_file={directory / 'monitoring.config'}",
        "--model_config_file_poll_wait_seconds=1",
        "--file_system_poll_wait_seconds=1",
    ]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            served = wire.Server("127.0.0.1", port, process.pid)
            _wait(served, process, log)
            yield served
            assert process.poll() is None, f"the server exited during the tests:\n{_tail(log)}"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(server: wire.Server, process: "subprocess.Popen[bytes] | None", log: Path | None) -> None:
    """Wait until every version of every model is available."""
    deadline = time.monotonic() + START_SECONDS
    while not all(_available(server, model) for model in MODELS):
        if process is not None and process.poll() is not None:
            pytest.fail(f"the server did not start:\n{_tail(log)}", pytrace=False)
        if time.monotonic() > deadline:
            pytest.fail(
                f"the server at {server.host}:{server.port} does not serve {MODELS}:\n{_tail(log)}", pytrace=False
            )
        time.sleep(0.1)


def _available(server: wire.Server, model: str) -> bool:
    try:
        response = server.send("GET", f"/v1/models/{model}")
    except OSError:
        return False
    states = [version["state"] for version in response.json().get("model_version_status", [])]
    return bool(states) and set(states) == {"AVAILABLE"}


def _tail(log: Path | None) -> str:
    return log.read_text(errors="replace")[-3000:] if log else ""
