"""`python -m serving.playground` as a process: mistakes, start and stop. No model server is behind it."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from serving.playground import __main__ as program

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--server-url=127.0.0.1:8501", "must be the address of a model server"),
        ("--server-url=ftp://127.0.0.1", "must be the address of a model server"),
        ("--server-url=http://127.0.0.1:99999", "must be the address of a model server"),
        ("--server-url=http://[", "must be the address of a model server"),
        ("--server-url=http://[127.0.0.1]", "must be the address of a model server"),
        ("--port=70000", "--port must be from 0"),
        ("--timeout=0", "--timeout is in seconds"),
        ("--timeout=nan", "--timeout is in seconds"),
        ("--model=a/b", "--model must be"),
        ("--model=a\0b", "--model must be"),
        ("--api-key-file=gone", "API keys cannot be read"),
        ("--tls-key=gone", "Give both"),
        ("--server-cert=gone", "needs an address that begins with https"),
        ("--host=no.such.host.invalid", "cannot listen on this address"),
    ],
)
def test_a_mistake_is_reported_in_one_paragraph(flag: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([flag]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert "Received: " in error
    assert len(error.splitlines()) == 1


@pytest.mark.integration
def test_a_port_in_use_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert program.main([f"--port={taken.getsockname()[1]}"]) == 2
    assert "set another one with --port" in capsys.readouterr().err


@pytest.mark.integration
@pytest.mark.parametrize(("sent", "code", "printed"), [(signal.SIGTERM, 0, ""), (signal.SIGINT, 130, "interrupted\n")])
def test_it_prints_its_url_serves_and_stops_without_a_traceback(sent: signal.Signals, code: int, printed: str) -> None:
    command = [sys.executable, "-m", "serving.playground", "--port=0", "--server-url=http://127.0.0.1:9"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("Playground at http://127.0.0.1:")
            url = line.split()[-1]
            with httpx.Client(trust_env=False) as client:
                assert "<title>" in client.get(url, timeout=10).text
                assert client.get(f"{url}about").json()["server"]["state"] == "unreachable"
            time.sleep(0.1)
            process.send_signal(sent)
            _, error = process.communicate(timeout=10)
        finally:
            process.kill()
    assert process.returncode == code
    assert error == printed
