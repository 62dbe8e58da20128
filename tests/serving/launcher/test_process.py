"""A server is started, waited for and stopped, and does not outlive its parent process.

The servers are `fake_programs.py` and shell commands; neither TF Serving nor Docker is used.
"""

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.errors import UserError
from serving.launcher import process as launcher
from serving.launcher.process import Process, ServerFailed

FAKE = Path(__file__).parents[1] / "fake_programs.py"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def make(*command: str, **options: object) -> Process:
        process = Process(command, str(tmp_path / "logs" / "server.log"), **options)  # type: ignore[arg-type]
        started.append(process)
        return process

    yield make
    for process in started:
        process.stop()


def fake(tmp_path: Path, port: int) -> list[str]:
    return [sys.executable, str(FAKE), str(tmp_path / "calls"), f"--rest_api_port={port}"]


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


@pytest.mark.integration
def test_waits_until_the_model_is_available(
    start: Callable[..., Process], tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port, messages = free_port(), []
    process = start(*fake(tmp_path, port))
    states = launcher.await_available(process, f"http://127.0.0.1:{port}", "m", 1, 30, messages.append)
    assert states[1].state == "AVAILABLE"
    assert messages[-1].startswith("version 1 is not loaded")  # the fake's first response
    process.stop()
    assert process.code == -signal.SIGTERM


@pytest.mark.integration
def test_another_version_suffices_if_the_newest_is_broken(
    start: Callable[..., Process], tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_STATES", '{"2": "END", "1": "AVAILABLE"}')
    port = free_port()
    states = launcher.await_available(
        start(*fake(tmp_path, port)), f"http://127.0.0.1:{port}", "m", 2, 30, lambda _: None
    )
    assert {number: one.state for number, one in states.items()} == {2: "END", 1: "AVAILABLE"}


@pytest.mark.integration
def test_server_that_ends_is_reported_with_the_end_of_its_log(
    start: Callable[..., Process], free_port: Callable[[], int], tmp_path: Path
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "server.log").write_text("of a previous start\n")
    process = start("sh", "-c", "seq 100; echo no memory >&2; exit 3")
    with pytest.raises(ServerFailed) as failure:
        launcher.await_available(process, f"http://127.0.0.1:{free_port()}", "m", 1, 30, lambda _: None)
    lines = str(failure.value).splitlines()
    assert lines[0] == "The server ended with exit code 3:"
    assert lines[-2:] == ["100", "no memory"]
    assert len(lines) == 16
    assert (tmp_path / "logs" / "server.log").read_text().startswith("of a previous start\n1\n")


@pytest.mark.integration
def test_server_that_takes_too_long_is_an_error(start: Callable[..., Process], free_port: Callable[[], int]) -> None:
    process = start("sh", "-c", "echo loading; sleep 60")
    with pytest.raises(ServerFailed, match="not available after 0 s"):
        launcher.await_available(process, f"http://127.0.0.1:{free_port()}", "m", 1, 0.3, lambda _: None)


@pytest.mark.integration
def test_server_that_does_not_stop_is_killed(start: Callable[..., Process]) -> None:
    process = start("sh", "-c", "trap '' TERM; echo busy; while true; do sleep 0.1; done", stop_seconds=0.3)
    until(lambda: process.tail() == "busy")
    process.stop()
    assert process.code == -signal.SIGKILL


@pytest.mark.integration
def test_stop_command_runs_before_the_kill_command(start: Callable[..., Process], tmp_path: Path) -> None:
    stopped, killed = tmp_path / "stopped", tmp_path / "killed"
    options = {"stop": ("touch", str(stopped)), "kill": ("touch", str(killed))}
    process = start("sleep", "60", stop_seconds=0.2, **options)
    process.stop()
    assert stopped.exists()
    assert killed.exists()
    assert process.code == -signal.SIGKILL


@pytest.mark.integration
def test_container_that_does_not_exist_yet_is_not_waited_for(start: Callable[..., Process], tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    process = start("sleep", "60", stop=("false",), kill=("touch", str(killed)), stop_seconds=30.0)
    process.stop()
    assert process.code == -signal.SIGTERM  # not SIGKILL, after `stop_seconds`
    assert killed.exists()  # the container that the command may have created meanwhile


@pytest.mark.integration
def test_deleted_log_has_no_last_lines(start: Callable[..., Process], tmp_path: Path) -> None:
    process = start("sh", "-c", "echo hello; exit 3")
    until(lambda: process.code is not None)
    assert process.tail() == "hello"
    (tmp_path / "logs" / "server.log").unlink()
    assert process.tail() == ""


def test_log_that_cannot_be_written_is_a_user_error(start: Callable[..., Process], tmp_path: Path) -> None:
    (tmp_path / "logs" / "server.log").mkdir(parents=True)
    with pytest.raises(UserError, match=rf"Is a directory\. .* Received: {tmp_path}/logs/server.log"):
        start("true")


@pytest.mark.integration
def test_missing_program_is_a_user_error(start: Callable[..., Process]) -> None:
    with pytest.raises(UserError, match="Received: /no/such/server"):
        start("/no/such/server")


@pytest.mark.integration
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_server_does_not_outlive_its_parent(tmp_path: Path, how: signal.Signals) -> None:
    code = (
        "import time; from serving.launcher.process import Process\n"
        f"Process(['sh', '-c', 'echo $$ > {tmp_path}/pid; exec sleep 60'], '{tmp_path}/log')\n"
        "time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=launcher.PROJECT)
    pid_file = tmp_path / "pid"
    until(lambda: pid_file.exists() and bool(pid_file.read_text().strip()))
    child = int(pid_file.read_text())
    assert alive(child)
    parent.send_signal(how)
    parent.wait()
    until(lambda: not alive(child))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_raises_keyboard_interrupt(number: signal.Signals) -> None:
    usual = signal.signal(number, signal.SIG_DFL)  # the test runner may ignore it
    try:
        with launcher.interrupts(), pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, usual)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_ignored_signal_stays_ignored(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with launcher.interrupts():
            signal.raise_signal(number)
        assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_ports_must_differ(free_port: Callable[[], int]) -> None:
    port = free_port()
    with pytest.raises(UserError, match=rf"Received: serving\.rest_port={port} and serving\.playground_port={port}"):
        launcher.check_ports("127.0.0.1", {"serving.rest_port": port, "serving.playground_port": port})


@pytest.mark.integration
def test_port_in_use_is_a_user_error(free_port: Callable[[], int]) -> None:
    launcher.check_ports("127.0.0.1", {"serving.rest_port": free_port()})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"Address already in use.*Received: serving\.grpc_port={port}"):
            launcher.check_ports("127.0.0.1", {"serving.grpc_port": port})


def test_address_of_another_machine_is_a_user_error(free_port: Callable[[], int]) -> None:
    with pytest.raises(UserError, match=r"192\.0\.2\.1"):
        launcher.check_ports("192.0.2.1", {"serving.rest_port": free_port()})


@pytest.mark.parametrize("host", ["[", "a..b", "a" * 70])
def test_malformed_address_is_a_user_error(host: str) -> None:
    with pytest.raises(UserError, match=rf"Received: serving\.host={re.escape(host)}"):
        launcher.check_ports(host, {"serving.rest_port": 1})
