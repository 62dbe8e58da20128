"""The program as a process: flags, exit codes, signals, and misbehaving clients at its socket."""

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.reload import MODEL, ROOT, Served
from components.models.versions import publish
from serving.embedded import __main__ as program

pytestmark = pytest.mark.integration

CHARS = 3_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, export_dir: Path) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("serving")
    publish(str(export_dir), str(directory / MODEL))
    one = Served(directory, "--max_request_bytes=100000", "--rest_api_timeout_in_ms=20000", "--port=8500")
    yield one
    assert one.stop() == 0


@pytest.fixture
def raw(served: Served) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", httpx.URL(served.url).port or 0), timeout=20) as one:
        yield one


def row(num_chars: int) -> dict[str, object]:
    return {"prompt": "The ", "num_chars": num_chars, "temperature": 0.8, "top_k": 0, "seed": 1}


def check_responds(served: Served) -> None:
    assert httpx.get(served.url, timeout=20).status_code == 200


def read_all(connection: socket.socket) -> bytes:
    data = b""
    try:
        while part := connection.recv(65_536):
            data += part
    except ConnectionError:
        pass
    return data


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "serving.embedded", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


# Flags


def test_flags_of_tensorflow_model_server_are_accepted() -> None:
    given = ["--rest_api_port=0", "--model_config_file=f", "--rest_api_timeout_in_ms=7", "--enable_batching=true"]
    options, ignored = program.arguments([*given, "--rest_api_enable_cors_support"])
    assert (options.rest_api_port, options.rest_api_timeout_in_ms, options.rest_api_enable_cors_support) == (0, 7, True)
    assert ignored == ["--enable_batching=true"]
    for word, meaning in (("false", False), ("true", True)):
        flag = f"--rest_api_enable_cors_support={word}"
        assert program.arguments([*given, flag])[0].rest_api_enable_cors_support is meaning


@pytest.mark.parametrize(
    ("flag", "text", "expected"),
    [
        ("--model_config_file", None, "cannot be read"),
        ("--model_config_file", "nonsense {", "not a TF Serving model_config_list"),
        ("--monitoring_config_file", "nonsense {", "not a MonitoringConfig"),
        ("--batching_parameters_file", "max_batch_size { value: 0 }", "at least 1"),
        ("--api_key_file", "short", "at least 16"),
        ("--tls_cert", "none", "Give both"),
        ("--request_log", None, "cannot be written"),
        ("--host", "256.0.0.1", "cannot listen"),
        ("--rest_api_port", "70000", "cannot listen"),
    ],
)
def test_a_mistake_in_the_flags_is_reported_in_one_paragraph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, text: str | None, expected: str
) -> None:
    models = tmp_path / "models.config"
    models.write_text("")
    (tmp_path / "other").write_text(text or "")
    if flag.endswith(("_file", "_cert", "_log")):
        value = str(tmp_path / ("other" if text else "no/where"))
    else:
        value = {"--host": "256.0.0.1", "--rest_api_port": "70000"}[flag]
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        code = program.main(["--rest_api_port=0", f"--model_config_file={models}", f"{flag}={value}"])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith("error: ")
    assert expected in error
    assert "Received: " in error
    assert error.count("\n") == 1 or "config_list" in error


def test_a_port_in_use_is_reported(served: Served) -> None:
    done = run(f"--rest_api_port={httpx.URL(served.url).port}", f"--model_config_file={served.config}")
    assert done.returncode == 2
    assert re.search(
        r"error: The server cannot listen on this address: Address already in use\. .* Received: 127", done.stderr
    )
    assert "Traceback" not in done.stderr


# Signals


def test_sigterm_finishes_requests_in_progress_and_accepts_no_others(served: Served) -> None:
    answers: list[httpx.Response] = []
    body = {"signature_name": "generate", "instances": [row(CHARS)] * 64}

    def ask() -> None:
        answers.append(httpx.post(f"{served.url}:predict", json=body, timeout=120))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.7)
    served.process.send_signal(signal.SIGTERM)
    code = served.process.wait(60)
    for thread in threads:
        thread.join()
    assert code == 0
    assert [(answer.status_code, len(answer.json()["predictions"])) for answer in answers] == [(200, 64)] * 2
    with pytest.raises(httpx.ConnectError):
        httpx.get(served.url)
    served.start()


def test_sigterm_during_startup(tmp_path: Path) -> None:
    (tmp_path / "m" / "1").mkdir(parents=True)
    os.mkfifo(tmp_path / "m" / "1" / "saved_model.pb")  # reading it never ends
    config = tmp_path / "models.config"
    config.write_text(f'model_config_list {{ config {{ name: "m" base_path: "{tmp_path}/m" }} }}')
    command = [sys.executable, "-m", "serving.embedded", "--rest_api_port=0", f"--model_config_file={config}"]
    for message in (b"Starting", b"Waiting for application startup"):  # TensorFlow is imported; a version is loaded
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
        try:
            assert process.stderr
            while message not in process.stderr.readline():
                assert process.poll() is None
            process.terminate()
            errors = process.communicate(timeout=30)[1]
        finally:
            process.kill()
        assert process.returncode == 0, errors.decode()
        assert b"Traceback" not in errors


# Clients that misbehave


def test_endless_headers_close_the_connection(served: Served, raw: socket.socket) -> None:
    sent = 0
    try:
        raw.sendall(b"GET /v1/models/m HTTP/1.1\r\n")
        while sent < 50_000_000:
            sent += raw.send(b"x-filler: " + b"a" * 8_000 + b"\r\n")
    except ConnectionError:
        pass
    assert sent < 50_000_000
    check_responds(served)


@pytest.mark.parametrize("start", [b"", b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n"])
def test_bytes_that_are_not_http_do_no_harm(served: Served, raw: socket.socket, start: bytes) -> None:
    raw.sendall(start)
    check_responds(served)
    if start.endswith(b"\n"):
        assert read_all(raw).startswith(b"HTTP/1.1 400")


def test_connections_reset_during_body_or_response_do_no_harm(served: Served) -> None:
    port = httpx.URL(served.url).port or 0
    head = f"POST /v1/models/{MODEL}:predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
    body = json.dumps({"signature_name": "generate", "instances": [row(CHARS)] * 64}).encode()
    for text in (body[:50], body):
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", port)) as one:
                one.sendall((head % len(body)).encode() + text)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, not an end
    answer = httpx.post(f"{served.url}:predict", json={"instances": ["a"]}, timeout=20)
    assert answer.status_code == 200  # nothing is generated for disconnected clients


def test_pipelined_requests_are_answered_in_order(raw: socket.socket) -> None:
    one = f"GET /v1/models/{MODEL} HTTP/1.1\r\nhost: x\r\n\r\n"
    last = "GET /v1/models/unknown HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    raw.sendall((one * 5 + last).encode())
    assert re.findall(rb"HTTP/1.1 (\d+)", read_all(raw)) == [b"200"] * 5 + [b"404"]


def test_large_bodies_and_gzip_bombs_are_rejected(served: Served) -> None:
    with httpx.Client(timeout=30) as client:
        large = client.post(f"{served.url}:predict", content=b"x" * 200_000)
        packed = gzip.compress(bytes(50_000_000))
        bomb = client.post(f"{served.url}:predict", content=packed, headers={"content-encoding": "gzip"})
        assert [answer.status_code for answer in (large, bomb)] == [413, 413]
        assert client.get(served.url).status_code == 200


def test_more_rows_than_the_queue_holds_are_rejected(served: Served) -> None:
    answer = httpx.post(f"{served.url}:predict", json={"instances": ["a"] * 10_000}, timeout=30)
    assert (answer.status_code, "Task size 10000" in answer.text) == (400, True)


def test_cancelled_requests_leak_no_threads_or_connections(served: Served) -> None:
    """The counts stay the same after many requests whose clients disconnected."""
    process = psutil.Process(served.process.pid)
    body = {"signature_name": "generate", "instances": [row(5_000)] * 64}
    counts = []
    for _ in range(2):
        for _ in range(10):
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{served.url}:predict", json=body, timeout=0.05)
        check_responds(served)
        counts.append((process.num_threads(), len(os.listdir(f"/proc/{process.pid}/fd"))))
    assert counts[1] <= (counts[0][0] + 1, counts[0][1] + 1)
