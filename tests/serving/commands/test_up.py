"""`up` as a program, with `fake_programs.py` instead of TF Serving and Docker."""

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from pipeline.config import overrides
from serving.__main__ import main
from serving.commands import up as up_command
from serving.rollout.inventory import ModelPaths
from serving.tf_serving import model_config
from serving.tf_serving.model_config import All, ServedModel

PROJECT = Path(__file__).resolve().parents[3]
Up = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def ports(free_port: Callable[[], int]) -> list[str]:
    return ["--port", str(free_port()), "--set", f"serving.grpc_port={free_port()}"]


@pytest.fixture
def up(root: Path, ports: list[str]) -> Iterator[Up]:
    with contextlib.ExitStack() as started:

        def start(*arguments: str, page: tuple[str, ...] = ("--no-playground",)) -> "subprocess.Popen[str]":
            command = [sys.executable, "-u", "-m", "serving", "up", "--root", str(root), *ports, *page, *arguments]
            process = subprocess.Popen(
                command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            started.enter_context(process)
            started.callback(process.kill)  # before the context waits for it
            return process

        yield start


def read_until(process: "subprocess.Popen[str]", words: str) -> str:
    assert process.stdout is not None
    text = ""
    while words not in text:
        line = process.stdout.readline()
        assert line, f"ended before it printed {words!r}: {text}"
        text += line
    return text


def ended(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not Path(f"/proc/{pid}").exists() or "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_a_signal(
    up: Up, root: Path, push: Callable[..., Path], program: Callable[[str], Path], ports: list[str], number: int
) -> None:
    push(1)
    calls = program("tensorflow_model_server")
    process = up()
    output = read_until(process, "Ctrl-C stops the server.")
    url = f"http://127.0.0.1:{ports[1]}/v1/models/char_rnn"
    assert "server: tensorflow_model_server (found at " in output
    assert "version 1: AVAILABLE" in output
    assert f'curl -d \'{{"instances": ["The "]}}\' {url}:predict' in output
    (arguments,) = (json.loads(line) for line in calls.read_text().splitlines())
    assert f"--model_config_file={root}/serving/models.config" in arguments
    assert model_config.read(str(root / "serving" / "models.config")) == [
        ServedModel("char_rnn", str(root / "serving" / "char_rnn"), All(), {"stable": 1, "canary": 1})
    ]
    assert {path.name for path in (root / "serving").iterdir()} >= {"batching.config", "monitoring.config"}
    process.send_signal(number)
    assert process.wait(20) == 0
    assert ended(int(Path(f"{calls}.pid").read_text()))


@pytest.mark.integration
def test_docker_container_is_stopped_by_name(up: Up, push: Callable[..., Path], program: Callable[[str], Path]) -> None:
    push(1)
    calls = program("docker")
    process = up()
    assert "server: docker (no tensorflow_model_server on PATH, a Docker daemon responds)" in read_until(
        process, "Ctrl-C stops"
    )
    process.terminate()
    assert process.wait(20) == 0
    made = [json.loads(line) for line in calls.read_text().splitlines()]
    assert [call[0] for call in made] == ["info", "image", "run", "stop"]
    assert f"--name={made[3][-1]}" in made[2]


@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_before_the_server_starts_leaves_no_child(
    up: Up, push: Callable[..., Path], program: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    push(1)
    program("docker")
    monkeypatch.setenv("FAKE_DOCKER", "pulls")
    process = up()
    read_until(process, "pulling ")
    deadline = time.monotonic() + 20
    while not (child := Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()):
        assert time.monotonic() < deadline
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    assert (process.returncode, output) == (130, "interrupted\n")
    assert ended(int(child))


@pytest.mark.integration
def test_server_does_not_outlive_a_killed_up(up: Up, push: Callable[..., Path], program: Callable[[str], Path]) -> None:
    push(1)
    calls = program("tensorflow_model_server")
    process = up()
    read_until(process, "Ctrl-C stops")
    process.kill()
    process.wait()
    assert ended(int(Path(f"{calls}.pid").read_text()))


@pytest.mark.integration
def test_server_that_ends_at_the_start_is_a_failure_with_its_log(
    up: Up, push: Callable[..., Path], program: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    push(1)
    program("tensorflow_model_server")
    monkeypatch.setenv("FAKE_DIES", "1")
    process = up()
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "exit code 3:\nfake server starts\nfake server cannot continue\n" in output
    assert "serving.log" in output


@pytest.mark.integration
def test_server_is_restarted_until_it_ends_too_often(
    up: Up, push: Callable[..., Path], program: Callable[[str], Path]
) -> None:
    push(1)
    pid = Path(f"{program('tensorflow_model_server')}.pid")
    process = up()
    read_until(process, "Ctrl-C stops")
    for _ in range(4):
        os.kill(int(pid.read_text()), signal.SIGKILL)
        output = read_until(process, "version 1: AVAILABLE")
        assert "ended with exit code -9" in output
        assert "restarting" in output
    os.kill(int(pid.read_text()), signal.SIGKILL)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "It ended 5 times in 5 minutes: giving up." in output


@pytest.mark.integration
def test_end_while_loading_counts_as_well(
    up: Up, push: Callable[..., Path], program: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(1)
    pid = Path(f"{program('tensorflow_model_server')}.pid")
    monkeypatch.setenv("FAKE_DIES_ONCE", str(tmp_path / "dies"))
    process = up()
    read_until(process, "Ctrl-C stops")
    (tmp_path / "dies").touch()
    os.kill(int(pid.read_text()), signal.SIGKILL)
    output = read_until(process, "version 1: AVAILABLE")
    assert output.index("ended with exit code -9") < output.index("ended with exit code 3")
    assert output.count("restarting") == 2


@pytest.mark.integration
def test_page_is_restarted(
    up: Up, push: Callable[..., Path], program: Callable[[str], Path], free_port: Callable[[], int], root: Path
) -> None:
    push(1)
    program("tensorflow_model_server")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = up(page=("--set", f"serving.playground_port={port}", "--allowed-host", "gpu-7"))
    output = read_until(process, "Ctrl-C stops")
    assert f"playground: {url}\nplayground log: {root}/logs/playground.log\n" in output
    status = {
        name: httpx.get(url, headers={"Host": f"{name}:{port}"}, trust_env=False).status_code
        for name in ("gpu-7", "gpu-8")
    }
    assert status["gpu-7"] == 200
    assert status["gpu-8"] >= 400
    os.kill(child_of(process.pid, "serving.playground"), signal.SIGKILL)
    assert "The playground ended with exit code -9" in read_until(process, f"playground: {url}")
    assert httpx.get(url, trust_env=False).status_code == 200


def child_of(parent: int, words: str) -> int:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    (child,) = (int(child) for child in children if words in Path(f"/proc/{child}/cmdline").read_text())
    return child


@pytest.mark.integration
def test_nohup_is_respected(up: Up, push: Callable[..., Path], program: Callable[[str], Path]) -> None:
    push(1)
    program("tensorflow_model_server")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a child inherits it, as nohup's does
    try:
        process = up()
    finally:
        signal.signal(signal.SIGHUP, before)
    read_until(process, "Ctrl-C stops")
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.0)
    process.terminate()
    assert process.wait(20) == 0


@pytest.mark.integration
def test_first_entry_labels_the_newest_version_that_loads(
    up: Up, root: Path, push: Callable[..., Path], program: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in (1, 2):
        push(version)
    program("tensorflow_model_server")
    monkeypatch.setenv("FAKE_STATES", '{"2": "END", "1": "AVAILABLE"}')
    monkeypatch.setenv("FAKE_ERROR", "no graph")
    process = up()
    assert "version 2: END (no graph)" in read_until(process, "Ctrl-C stops")
    assert model_config.read(str(root / "serving" / "models.config"))[0].labels == {"stable": 1, "canary": 1}


def test_page_and_curl_line_have_key_and_certificate(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    access = ["api_key_file=my keys", "tls_cert=c.pem", "tls_key=k.pem"]
    config = overrides.load("quick", [f"root={root}", *(f"serving.access.{one}" for one in access)])
    console = Console(file=io.StringIO(), soft_wrap=True)
    paths = ModelPaths.of(config)
    commands: list[list[str]] = []
    monkeypatch.setattr(up_command, "Page", lambda command, url, *_: commands.append([*command, url]))
    up_command._page(config, paths, [], console, {})
    (command,) = commands
    assert {"--api-key-file=my keys", "--tls-cert=c.pem", "--tls-key=k.pem", "--server-cert=c.pem"} <= set(command)
    assert "--server-url=https://127.0.0.1:8501" in command
    assert command[-1] == "https://127.0.0.1:8502"
    up_command._report_ready(config, paths, "log", None, console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\nsed 's/^/Authorization: Bearer /;q' 'my keys' | curl -d " in printed
    assert " --cacert c.pem -H @- https://127.0.0.1:8501/v1/models/" in printed


def test_bad_certificate_is_reported_before_the_server_starts(
    root: Path, push: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    push(1)
    for options in (["--tls-cert", "gone"], ["--tls-cert", "gone", "--tls-key", "gone"], ["--api-key-file", "gone"]):
        assert main(["up", "--root", str(root), "--no-playground", *options]) == 2
        assert "Received: " in capsys.readouterr().err
    assert not (root / "logs").exists()


def test_no_pushed_version_is_a_user_error(root: Path, ports: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--root", str(root), *ports, "--no-playground"]) == 2
    assert "python local_runner.py" in capsys.readouterr().err
    assert not root.exists()


@pytest.mark.integration
def test_port_in_use_is_one_paragraph(
    root: Path, push: Callable[..., Path], program: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    push(1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["up", "--root", str(root), "--server", "embedded", "--port", str(port), "--no-playground"]) == 2
    error = capsys.readouterr().err
    assert f"Received: serving.rest_port={port}" in error
    assert error.count("\n") == 1


@pytest.mark.integration
def test_moved_directory_is_served_from_its_new_path(
    up: Up, root: Path, push: Callable[..., Path], program: Callable[[str], Path]
) -> None:
    push(1)
    program("tensorflow_model_server")
    path = str(root / "serving" / "models.config")
    model_config.update(path, "char_rnn", lambda _: ServedModel("char_rnn", "/gone/char_rnn", All(), {"stable": 1}))
    process = up()
    assert ": /gone/char_rnn does not exist" in read_until(process, "Ctrl-C stops")
    process.terminate()
    assert process.wait(20) == 0
    assert model_config.read(path) == [
        ServedModel("char_rnn", str(root / "serving" / "char_rnn"), All(), {"stable": 1})
    ]
